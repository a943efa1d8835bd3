// SPDX-License-Identifier: Apache-2.0

/**
 * A compute resource as the adapters see it: its queues, its job manager, and how jobs get there.
 *
 * Wire-compatible with Airavata develop (0.21). Names, ids and types are facts of the wire; the
 * explanations were written for this project.
 */

include "airavata_commons.thrift"
include "parallelism_model.thrift"

namespace py airavata_mesos_plugin.gen.airavata.compute_resource
namespace java org.apache.airavata.model.appcatalog.computeresource

/** The batch system whose commands are typed and whose answers are read. */
enum ResourceJobManagerType {
  FORK = 0,
  PBS = 1,
  SLURM = 2,
  LSF = 3,
  UGE = 4,
  CLOUD = 5,
  AIRAVATA_CUSTOM = 6,
  HTCONDOR = 7,
}

/** What a job manager is asked to do; the key of its table of commands. */
enum JobManagerCommand {
  SUBMISSION = 0,
  JOB_MONITORING = 1,
  DELETION = 2,
  CHECK_JOB = 3,
  SHOW_QUEUE = 4,
  SHOW_RESERVATION = 5,
  SHOW_START = 6,
  SHOW_CLUSTER_INFO = 7,
  SHOW_NO_OF_RUNNING_JOBS = 8,
  SHOW_NO_OF_PENDING_JOBS = 9,
}

/** How a job reaches the resource. */
enum JobSubmissionProtocol {
  LOCAL = 0,
  SSH = 1,
  GLOBUS = 2,
  UNICORE = 3,
  CLOUD = 4,
  SSH_FORK = 5,
  LOCAL_FORK = 6,
}

/** Who tells that a job has changed its state. */
enum MonitorMode {
  POLL_JOB_MANAGER = 0,
  CLOUD_JOB_MONITOR = 1,
  JOB_EMAIL_NOTIFICATION_MONITOR = 2,
  XSEDE_AMQP_SUBSCRIBE = 3,
  FORK = 4,
  LOCAL = 5,
}

/** The batch system of a resource: where its commands are and what they are called. */
struct ResourceJobManager {
  1: required string resourceJobManagerId = airavata_commons.DEFAULT_ID
  2: required ResourceJobManagerType resourceJobManagerType
  3: optional string pushMonitoringEndpoint
  /** Put before every command of the table. */
  4: optional string jobManagerBinPath
  5: optional map<JobManagerCommand,string> jobManagerCommands
  6: optional map<parallelism_model.ApplicationParallelismType,string> parallelismPrefix
}

/** One queue with its limits; a limit of 0 or unset is none. */
struct BatchQueue {
  1: required string queueName
  2: optional string queueDescription
  /** Minutes. */
  3: optional i32 maxRunTime
  4: optional i32 maxNodes
  5: optional i32 maxProcessors
  6: optional i32 maxJobsInQueue
  /** Megabytes. */
  7: optional i32 maxMemory
  8: optional i32 cpuPerNode
  9: optional i32 defaultNodeCount
  10: optional i32 defaultCPUCount
  /** Minutes. */
  11: optional i32 defaultWalltime
  /** Lines for the head of the job script, separated by commas. */
  12: optional string queueSpecificMacros
  13: optional bool isDefaultQueue
}
