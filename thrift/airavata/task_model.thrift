// SPDX-License-Identifier: Apache-2.0

/**
 * The steps of a process, and what each kind of step has to know.
 *
 * Wire-compatible with Airavata develop (0.21). Names, ids and types are facts of the wire; the
 * explanations were written for this project.
 */

include "airavata_commons.thrift"
include "application_io_models.thrift"
include "compute_resource_model.thrift"
include "data_movement_models.thrift"
include "job_model.thrift"
include "status_models.thrift"

namespace py airavata_mesos_plugin.gen.airavata.task
namespace java org.apache.airavata.model.task

/** What kind of step a task is. ENV_CLEANUP is never made by any release. */
enum TaskTypes {
  ENV_SETUP = 0,
  DATA_STAGING = 1,
  JOB_SUBMISSION = 2,
  ENV_CLEANUP = 3,
  MONITORING = 4,
  OUTPUT_FETCHING = 5,
}

/** Direction of a staging task. The second name is misspelt on the wire, and stays so. */
enum DataStageType {
  INPUT = 0,
  OUPUT = 1,
  ARCHIVE_OUTPUT = 2,
}

/** One step of a process. */
struct TaskModel {
  1: required string taskId = airavata_commons.DEFAULT_ID
  2: required TaskTypes taskType
  3: required string parentProcessId
  /** Milliseconds since the epoch. */
  4: required i64 creationTime
  5: required i64 lastUpdateTime
  6: required list<status_models.TaskStatus> taskStatuses
  7: optional string taskDetail
  /** The model of this kind of task in the binary protocol. */
  8: optional binary subTaskModel
  9: optional list<airavata_commons.ErrorModel> taskErrors
  10: optional list<job_model.JobModel> jobs
  /** How often the engine tries. */
  11: optional i32 maxRetry
  12: optional i32 currentRetry
}

/** Which file goes where. */
struct DataStagingTaskModel {
  1: required string source
  2: required string destination
  3: required DataStageType type
  4: optional i64 transferStartTime
  5: optional i64 transferEndTime
  /** Text for people. */
  6: optional string transferRate
  7: optional application_io_models.InputDataObjectType processInput
  8: optional application_io_models.OutputDataObjectType processOutput
}

/** Which working directory is to be made. */
struct EnvironmentSetupTaskModel {
  /** Absolute path on the resource. */
  1: required string location
  2: required data_movement_models.SecurityProtocol protocol
}

/** How the job is sent and followed. */
struct JobSubmissionTaskModel {
  1: required compute_resource_model.JobSubmissionProtocol jobSubmissionProtocol
  2: required compute_resource_model.MonitorMode monitorMode
  /** Minutes; above 0 it wins over the wish of the process. */
  3: optional i32 wallTime
}

/** How the job is followed. */
struct MonitorTaskModel {
  1: required compute_resource_model.MonitorMode monitorMode
}
