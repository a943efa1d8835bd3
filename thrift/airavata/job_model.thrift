// SPDX-License-Identifier: Apache-2.0

/**
 * One job of a compute resource.
 *
 * Wire-compatible with Airavata develop (0.21). Names, ids and types are facts of the wire; the
 * explanations were written for this project.
 */

include "status_models.thrift"

namespace py airavata_mesos_plugin.gen.airavata.job
namespace java org.apache.airavata.model.job

/** A job with everything that is known of it. */
struct JobModel {
  1: required string jobId
  2: required string taskId
  3: required string processId
  /** The job script as it was rendered. */
  4: required string jobDescription
  /** Milliseconds since the epoch. */
  5: optional i64 creationTime
  6: optional list<status_models.JobStatus> jobStatuses
  7: optional string computeResourceConsumed
  8: optional string jobName
  9: optional string workingDir
  /** What the submission printed. */
  10: optional string stdOut
  /** What the submission complained about. */
  11: optional string stdErr
  12: optional i32 exitCode
}
