// SPDX-License-Identifier: Apache-2.0

/**
 * States of experiments, processes, tasks and jobs. Times are milliseconds since the epoch.
 *
 * Wire-compatible with Airavata develop (0.21). Names, ids and types are facts of the wire; the
 * explanations were written for this project.
 */

namespace py airavata_mesos_plugin.gen.airavata.status
namespace java org.apache.airavata.model.status

/** Where an experiment stands. */
enum ExperimentState {
  CREATED = 0,
  VALIDATED = 1,
  SCHEDULED = 2,
  LAUNCHED = 3,
  EXECUTING = 4,
  CANCELING = 5,
  CANCELED = 6,
  COMPLETED = 7,
  FAILED = 8,
}

/** Where a task stands. A task that has been run is COMPLETED or FAILED. */
enum TaskState {
  CREATED = 0,
  EXECUTING = 1,
  COMPLETED = 2,
  FAILED = 3,
  CANCELED = 4,
}

/** Where a process stands. */
enum ProcessState {
  CREATED = 0,
  VALIDATED = 1,
  STARTED = 2,
  PRE_PROCESSING = 3,
  CONFIGURING_WORKSPACE = 4,
  INPUT_DATA_STAGING = 5,
  EXECUTING = 6,
  MONITORING = 7,
  OUTPUT_DATA_STAGING = 8,
  POST_PROCESSING = 9,
  COMPLETED = 10,
  FAILED = 11,
  CANCELLING = 12,
  CANCELED = 13,
  QUEUED = 14,
  DEQUEUING = 15,
  REQUEUED = 16,
}

/** Where a job stands. Nothing is accepted after COMPLETE, CANCELED, FAILED, SUSPENDED and UNKNOWN. */
enum JobState {
  SUBMITTED = 0,
  QUEUED = 1,
  ACTIVE = 2,
  COMPLETE = 3,
  CANCELED = 4,
  FAILED = 5,
  SUSPENDED = 6,
  UNKNOWN = 7,
  NON_CRITICAL_FAIL = 8,
}

/** A state of an experiment, and since when. */
struct ExperimentStatus {
  1: required ExperimentState state
  /** Milliseconds since the epoch. */
  2: optional i64 timeOfStateChange
  3: optional string reason
  4: optional string statusId
}

/** A state of a process, and since when. */
struct ProcessStatus {
  1: required ProcessState state
  /** Milliseconds since the epoch. */
  2: optional i64 timeOfStateChange
  3: optional string reason
  4: optional string statusId
  5: optional string processId
}

/** A state of a task, and since when. */
struct TaskStatus {
  1: required TaskState state
  /** Milliseconds since the epoch. */
  2: optional i64 timeOfStateChange
  3: optional string reason
  4: optional string statusId
}

/** A state of a job, and since when. */
struct JobStatus {
  1: required JobState jobState
  /** Milliseconds since the epoch. */
  2: optional i64 timeOfStateChange
  3: optional string reason
  4: optional string statusId
}

/** How busy a queue was at one moment. */
struct QueueStatusModel {
  1: required string hostName
  2: required string queueName
  3: required bool queueUp
  4: required i32 runningJobs
  5: required i32 queuedJobs
  /** Milliseconds since the epoch. */
  6: required i64 time
}
