// SPDX-License-Identifier: Apache-2.0

/**
 * One run of an application on one compute resource: an ordered list of tasks.
 *
 * Wire-compatible with Airavata develop (0.21). Names, ids and types are facts of the wire; the
 * explanations were written for this project.
 */

include "airavata_commons.thrift"
include "application_io_models.thrift"
include "scheduling_model.thrift"
include "status_models.thrift"
include "task_model.thrift"

namespace py airavata_mesos_plugin.gen.airavata.process
namespace java org.apache.airavata.model.process

/** A workflow of the engine that works on a process. */
struct ProcessWorkflow {
  1: required string processId
  2: required string workflowId
  3: optional i64 creationTime
  4: optional string type
}

/** A process with its tasks, inputs and outputs. */
struct ProcessModel {
  1: required string processId = airavata_commons.DEFAULT_ID
  2: required string experimentId
  3: optional i64 creationTime
  4: optional i64 lastUpdateTime
  5: optional list<status_models.ProcessStatus> processStatuses
  6: optional string processDetail
  7: optional string applicationInterfaceId
  8: optional string applicationDeploymentId
  9: optional string computeResourceId
  10: optional list<application_io_models.InputDataObjectType> processInputs
  11: optional list<application_io_models.OutputDataObjectType> processOutputs
  12: optional scheduling_model.ComputationalResourceSchedulingModel processResourceSchedule
  13: optional list<task_model.TaskModel> tasks
  /** Task ids in their order, separated by commas. */
  14: optional string taskDag
  15: optional list<airavata_commons.ErrorModel> processErrors
  16: optional string gatewayExecutionId
  17: optional bool enableEmailNotification
  18: optional list<string> emailAddresses
  19: optional string inputStorageResourceId
  20: optional string outputStorageResourceId
  21: optional string userDn
  22: optional bool generateCert = false
  /** Where outputs go, below the root of the storage. */
  23: optional string experimentDataDir
  24: optional string userName
  25: optional bool useUserCRPref
  26: optional string groupResourceProfileId
  27: optional list<ProcessWorkflow> processWorkflows
}
