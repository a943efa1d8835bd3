// SPDX-License-Identifier: Apache-2.0

/**
 * What a process asks of a compute resource.
 *
 * Wire-compatible with Airavata develop (0.21). Names, ids and types are facts of the wire; the
 * explanations were written for this project.
 */

namespace py airavata_mesos_plugin.gen.airavata.scheduling
namespace java org.apache.airavata.model.scheduling

/** Host, queue and amounts that a user chose. */
struct ComputationalResourceSchedulingModel {
  1: optional string resourceHostId
  2: optional i32 totalCPUCount
  3: optional i32 nodeCount
  4: optional i32 numberOfThreads
  5: optional string queueName
  /** Minutes. */
  6: optional i32 wallTimeLimit
  /** Megabytes on each node. */
  7: optional i32 totalPhysicalMemory
  /** Spelt like this on the wire; never used. */
  8: optional string chessisNumber
  /** Used in place of scratch location and process id. */
  9: optional string staticWorkingDir
  10: optional string overrideLoginUserName
  11: optional string overrideScratchLocation
  12: optional string overrideAllocationProjectNumber
  13: optional i32 mGroupCount
}
