// SPDX-License-Identifier: Apache-2.0

/**
 * The Thrift API of the Apache Aurora scheduler, as release 0.22.0 and the last state of master
 * speak it. Names, ids and types are facts of the wire; the explanations were written for this
 * project.
 *
 * Conventions:
 *  - "Since 0.14.0" names the first release that has the item in this form. Items without such a
 *    remark are in 0.8.0 already.
 *  - "Unset" means that the field is absent on the wire. No field is enforced as required. In its
 *    answers the scheduler fills collections with empty ones, numbers with 0 and booleans with
 *    false, also where they are declared optional; strings, enums and structs stay unset.
 *  - A union that is sent must have exactly one member set; an empty one is answered with
 *    ERROR.
 *  - r/e/n stands for a job key written as role/environment/name.
 *  - "Slave" in a name is the Mesos agent.
 *
 * Every struct, and every collection in one, carries the annotation python.immutable. The Python
 * classes are then frozen and hashable, and sets, lists and maps are read as frozenset, tuple and
 * TFrozenDict. It is needed on both: a struct that holds a plain set or list has no hash, and a
 * set of such structs cannot be read on Python 3. The annotation does not change the wire.
 */

namespace py airavata_mesos_plugin.gen.aurora
namespace java org.apache.aurora.gen

// ---------------------------------------------------------------------------------------------
// Identity: who and which job
// ---------------------------------------------------------------------------------------------

/**
 * Pattern of role, environment, job name, user and tier; at most 255 characters. It has to match
 * the whole text, and only ASCII letters and digits count as word characters.
 */
const string GOOD_IDENTIFIER_PATTERN = "^[\\w\\-\\.]+$"

/** The same pattern, as Java reads it. */
const string GOOD_IDENTIFIER_PATTERN_JVM = "^[\\w\\-\\.]+$"

/** The same pattern for Python, where it needs re.fullmatch and re.ASCII to mean the same. */
const string GOOD_IDENTIFIER_PATTERN_PYTHON = "^[\\w\\-\\.]+$"

/** A person. Kept for information: no decision of the scheduler depends on it. */
struct Identity {
  2: string user
} (python.immutable = "")

/** Address of a job within one cluster. */
struct JobKey {
  /** Also the Unix account that the tasks run as. */
  1: string role
  /** prod, devel, test or staging with an optional number, unless the cluster allows others. */
  2: string environment
  3: string name
} (python.immutable = "")

/** Address of one instance of a job. */
struct InstanceKey {
  1: JobKey jobKey
  /** Counted from 0. */
  2: i32 instanceId
} (python.immutable = "")

/** A label that a client attaches to a task or an update. Keys may repeat. */
struct Metadata {
  1: string key
  2: string value
} (python.immutable = "")

/** What a lock is held on. No call carries locks any more since 0.13.0. */
union LockKey {
  1: JobKey job
} (python.immutable = "")

/** A lock on a job. No call carries locks any more since 0.13.0. */
struct Lock {
  1: LockKey key
  2: string token
  3: string user
  /** Milliseconds since the epoch. */
  4: i64 timestampMs
  5: optional string message
} (python.immutable = "")

/** A versioned software package. No call carries it. */
struct Package {
  1: string role
  2: string name
  3: i32 version
} (python.immutable = "")

// ---------------------------------------------------------------------------------------------
// Resources, constraints and containers: what a task needs
// ---------------------------------------------------------------------------------------------

/**
 * An amount of one resource. A task has at most one value each of CPU, RAM, disk and GPU, and one
 * namedPort per port. Since 0.14.0; before, the amounts were plain fields of TaskConfig.
 */
union Resource {
  /** Cores; fractions are allowed. More than 0 in a task. */
  1: double numCpus
  /** MiB. More than 0 in a task. */
  2: i64 ramMb
  /** MiB. More than 0 in a task. */
  3: i64 diskMb
  /** Name of a port. The number is chosen when the task gets its host. */
  4: string namedPort
  /** Whole devices. Refused in any amount unless the cluster enables GPUs. */
  5: i64 numGpus
} (python.immutable = "")

/** A total of resources, for quota and its use. */
struct ResourceAggregate {
  /** Exactly one value each of numCpus, ramMb and diskMb. Since 0.14.0. */
  4: set<Resource> (python.immutable = "") resources
} (python.immutable = "")

/** A named property of an agent and its values. */
struct Attribute {
  1: string name
  2: set<string> (python.immutable = "") values
} (python.immutable = "")

/** Asks for an agent by the values of an attribute. */
struct ValueConstraint {
  /**
   * False: the agent must have one of the values. True: it must have none of them, which also
   * holds for an agent without the attribute.
   */
  1: bool negated
  2: set<string> (python.immutable = "") values
} (python.immutable = "")

/** Spreads the tasks of a job over the values of an attribute. */
struct LimitConstraint {
  /**
   * Most active tasks of the job on agents that share one value. An agent without the attribute
   * is never taken.
   */
  1: i32 limit
} (python.immutable = "")

/** One of the two kinds of constraint. */
union TaskConstraint {
  1: ValueConstraint value
  2: LimitConstraint limit
} (python.immutable = "")

/** Restricts the agents that a task may run on. */
struct Constraint {
  /**
   * Name of the agent attribute. "dedicated" is special: it must be a value constraint with one
   * value, made of the role or an asterisk, a slash and any text. Agents with that attribute take
   * only tasks that ask for it.
   */
  1: string name
  2: TaskConstraint constraint
} (python.immutable = "")

/**
 * A file that Mesos fetches into the sandbox before the task starts. Refused unless the cluster
 * enables it. Since 0.15.0.
 */
struct MesosFetcherURI {
  1: string value
  /** Unpack the file if it is an archive. */
  2: optional bool extract
  /** Keep the file in the agent's cache for later tasks. */
  3: optional bool cache
  /** Name in the sandbox. Since 0.22.0. */
  4: optional string outputFile
} (python.immutable = "")

/** How a volume is mounted. */
enum Mode {
  /** Read and write. */
  RW = 1,
  /** Read only. */
  RO = 2,
}

/** A directory of the agent that is mounted into a container. */
struct Volume {
  1: string containerPath
  2: string hostPath
  3: Mode mode
} (python.immutable = "")

/** An image from a Docker registry. Since 0.14.0. */
struct DockerImage {
  1: string name
  2: string tag
} (python.immutable = "")

/** An App Container image. Since 0.14.0. */
struct AppcImage {
  1: string name
  2: string imageId
} (python.immutable = "")

/** The root file system of a Mesos container. Since 0.14.0. */
union Image {
  1: DockerImage docker
  2: AppcImage appc
} (python.immutable = "")

/**
 * Directory in the executor's run directory where the image of a Mesos container is mounted. Since
 * 0.16.0.
 */
const string TASK_FILESYSTEM_MOUNT_POINT = "taskfs"

/** A container made by Mesos itself; the default of every task. */
struct MesosContainer {
  /** Unset: the file system of the agent. Since 0.14.0. */
  1: optional Image image
  /** Refused unless the cluster enables container volumes. Since 0.17.0. */
  2: optional list<Volume> (python.immutable = "") volumes
} (python.immutable = "")

/** An option for the Docker command line. Since 0.10.0. */
struct DockerParameter {
  1: string name
  2: string value
} (python.immutable = "")

/** A container made by Docker. Refused unless the cluster allows this type. */
struct DockerContainer {
  /** Name of the image, with its tag. */
  1: string image
  /** Unset or empty: the defaults of the cluster. Others need its permission. Since 0.10.0. */
  2: optional list<DockerParameter> (python.immutable = "") parameters
} (python.immutable = "")

/** What isolates a task. */
union Container {
  1: MesosContainer mesos
  2: DockerContainer docker
} (python.immutable = "")

// ---------------------------------------------------------------------------------------------
// Tasks: one run of one instance
// ---------------------------------------------------------------------------------------------

/** Name under which every scheduler knows the Thermos executor. */
const string AURORA_EXECUTOR_NAME = "AuroraExecutor"

/** The program that runs the task on the agent. */
struct ExecutorConfig {
  /** AURORA_EXECUTOR_NAME, or an executor that the cluster configures. */
  1: string name
  /**
   * Text for the executor; for Thermos a job in JSON, in which sizes are bytes. The scheduler does
   * not look at it, so a mistake shows only when the task fails on its agent.
   */
  2: string data
} (python.immutable = "")

/**
 * What happens to a task whose agent is unreachable. Unset: it is LOST at once. Matters only where
 * the scheduler is partition-aware. Since 0.20.0.
 */
struct PartitionPolicy {
  /** False: stay PARTITIONED until the agent is back or somebody acts. */
  1: bool reschedule
  /** Seconds in PARTITIONED before the task is LOST and replaced. */
  2: optional i64 delaySecs
} (python.immutable = "")

/** Part of a job's active tasks that must stay up when one is removed. Since 0.21.0. */
struct PercentageSlaPolicy {
  /** 0 to 100; must leave at least one instance free to go. */
  1: double percentage
  /** Seconds that a task must have been RUNNING to count; at most 7200 unless the cluster says otherwise. */
  2: i64 durationSecs
} (python.immutable = "")

/** Number of a job's active tasks that must stay up when one is removed. Since 0.21.0. */
struct CountSlaPolicy {
  /** Less than the number of instances. */
  1: i64 count
  /** As in PercentageSlaPolicy. */
  2: i64 durationSecs
} (python.immutable = "")

/** Leaves the decision about a removal to an HTTP service. Since 0.21.0. */
struct CoordinatorSlaPolicy {
  /** Gets a POST with the query parameter task=cluster/role/environment/name/instance. */
  1: string coordinatorUrl
  /** Member of the JSON answer whose value true permits the removal; usually "drain". */
  2: string statusKey
} (python.immutable = "")

/**
 * When a task may be taken down for maintenance or an update. Only for production tiers unless the
 * cluster says otherwise; percentage and count need 20 instances or more by default. Since 0.21.0.
 */
union SlaPolicy {
  1: PercentageSlaPolicy percentageSlaPolicy
  2: CountSlaPolicy countSlaPolicy
  3: CoordinatorSlaPolicy coordinatorSlaPolicy
} (python.immutable = "")

/**
 * Configuration of the tasks of a job. Two configurations are equal when they are so after the
 * scheduler has filled in defaults; updates and grouping calls rely on that.
 */
struct TaskConfig {
  /** Key of the job. Clients set it equal to the key of the JobConfiguration. */
  28: JobKey job
  /** Who submitted it. For information. */
  17: Identity owner
  /** True: replaced however it ends, unless it is killed on request; maxTaskFailures is ignored. */
  7: bool isService
  /** Higher goes first among tasks of one role; also compared for preemption. */
  11: i32 priority
  /**
   * Failures of an instance after which it is given up, rather than replaced. 0 acts as 1; -1 sets
   * no limit.
   */
  13: i32 maxTaskFailures
  /**
   * The scheduler sets this from the tier: false if tasks of the tier may be preempted or run on
   * revocable resources. Before 0.22.0 it chose the tier where none was given.
   */
  18: optional bool production
  /** Name of a tier (see getTierConfigs). Unset: the default tier of the cluster. Since 0.10.0. */
  30: optional string tier
  /** Must hold CPU, RAM and disk. Since 0.14.0. */
  32: set<Resource> (python.immutable = "") resources
  20: set<Constraint> (python.immutable = "") constraints
  /** Since 0.15.0. */
  33: optional set<MesosFetcherURI> (python.immutable = "") mesosFetcherUris
  /**
   * Name of a link to its URL, in which %host% and %port:NAME% stand for the place of the task.
   * The reader fills these in. Unset or empty: the scheduler adds links for the ports "http"
   * and "health", if there are any.
   */
  22: optional map<string, string> (python.immutable = "") taskLinks
  /** For information. */
  23: optional string contactEmail
  /** May be unset only for a Docker container, and only where the cluster allows it. */
  25: optional ExecutorConfig executorConfig
  /** Copied to the labels of the Mesos task, as org.apache.aurora.metadata.KEY. */
  27: optional set<Metadata> (python.immutable = "") metadata
  /** Since 0.20.0. */
  34: optional PartitionPolicy partitionPolicy
  /** Since 0.21.0. */
  35: optional SlaPolicy slaPolicy
  29: Container container = {"mesos": {}}
} (python.immutable = "")

/**
 * State of a task. Active tasks still have something ahead of them; terminal states are final, and
 * a reader may see the task in one until it is pruned (by default 2 days after its end).
 */
enum ScheduleStatus {
  /** Not stored yet; never seen by a client. */
  INIT = 11,
  /** Active. A replacement that waits because its forerunners failed too fast. */
  THROTTLED = 16,
  /** Active. Waits for a host; getPendingReason may say why. */
  PENDING = 0,
  /** Active, on a host. It has its place and ports, and Mesos was asked to launch it. */
  ASSIGNED = 9,
  /** Active, on a host. The executor has the task; its health is not proven yet. */
  STARTING = 1,
  /** Active, on a host. Since 0.17.0 also: healthy, where a health check is configured. */
  RUNNING = 2,
  /** Terminal. Ended with success. */
  FINISHED = 3,
  /** Active, on a host. It is killed so that another task gets its place. */
  PREEMPTING = 13,
  /** Active, on a host. It is killed for a restart that somebody asked for. */
  RESTARTING = 12,
  /** Active, on a host. It is killed to empty the host for maintenance. */
  DRAINING = 17,
  /** Terminal. Ended with failure. */
  FAILED = 4,
  /** Terminal. Killed. A task killed before it had a host is deleted instead and leaves no trace. */
  KILLED = 5,
  /** Active, on a host. It is killed for a user, an update or a cron run. */
  KILLING = 6,
  /** Terminal. Lost by the system, or stuck too long in a passing state. */
  LOST = 7,
  /** Active, on a host. Its agent does not answer, so the true state is not known. Since 0.20.0. */
  PARTITIONED = 18,
}

/** All states that are not terminal, without INIT. */
const set<ScheduleStatus> (python.immutable = "") ACTIVE_STATES = [
  ScheduleStatus.ASSIGNED,
  ScheduleStatus.DRAINING,
  ScheduleStatus.KILLING,
  ScheduleStatus.PENDING,
  ScheduleStatus.PREEMPTING,
  ScheduleStatus.RESTARTING,
  ScheduleStatus.RUNNING,
  ScheduleStatus.STARTING,
  ScheduleStatus.PARTITIONED,
  ScheduleStatus.THROTTLED,
]

/** Active states of a task that has a host. */
const set<ScheduleStatus> (python.immutable = "") SLAVE_ASSIGNED_STATES = [
  ScheduleStatus.ASSIGNED,
  ScheduleStatus.DRAINING,
  ScheduleStatus.KILLING,
  ScheduleStatus.PREEMPTING,
  ScheduleStatus.RESTARTING,
  ScheduleStatus.RUNNING,
  ScheduleStatus.PARTITIONED,
  ScheduleStatus.STARTING,
]

/** Active states without those before RUNNING. */
const set<ScheduleStatus> (python.immutable = "") LIVE_STATES = [
  ScheduleStatus.KILLING,
  ScheduleStatus.PREEMPTING,
  ScheduleStatus.RESTARTING,
  ScheduleStatus.DRAINING,
  ScheduleStatus.PARTITIONED,
  ScheduleStatus.RUNNING,
]

/** States that a task never leaves. */
const set<ScheduleStatus> (python.immutable = "") TERMINAL_STATES = [
  ScheduleStatus.FAILED,
  ScheduleStatus.FINISHED,
  ScheduleStatus.KILLED,
  ScheduleStatus.LOST,
]

/** A change of state in the life of a task. */
struct TaskEvent {
  /** Milliseconds since the epoch. */
  1: i64 timestamp
  2: ScheduleStatus status
  /** Reason, for people. Unset for most ordinary changes. */
  3: optional string message
  /** Host name of the scheduler that recorded it. */
  4: optional string scheduler
} (python.immutable = "")

/** A task and its place. */
struct AssignedTask {
  /**
   * Also the Mesos task id. Made of role, environment, name, instance and a random UUID, joined
   * with hyphens.
   */
  1: string taskId
  /** Mesos agent id. Unset until ASSIGNED. */
  2: string slaveId
  /** Host name of the agent. Unset until ASSIGNED. */
  3: string slaveHost
  4: TaskConfig task
  /** Port name to number, filled when the task gets its host. */
  5: map<string, i32> (python.immutable = "") assignedPorts
  /** Counted from 0; a replacement keeps it. */
  6: i32 instanceId
} (python.immutable = "")

/** A task as the scheduler keeps it. */
struct ScheduledTask {
  1: AssignedTask assignedTask
  /** Equals the status of the last event. */
  2: ScheduleStatus status
  /** Failures of the instance so far; a replacement goes on counting. */
  3: i32 failureCount
  /** Times that this task became PARTITIONED. Since 0.20.0. */
  6: i32 timesPartitioned
  /** In order of time. */
  4: list<TaskEvent> (python.immutable = "") taskEvents
  /** Id of the task that this one replaces. Unset for the first of an instance. */
  5: string ancestorId
} (python.immutable = "")

// ---------------------------------------------------------------------------------------------
// Cron: jobs that start by the clock. A JobConfiguration with a cronSchedule is one.
// ---------------------------------------------------------------------------------------------

/** What a cron run does while tasks of the job are still active. */
enum CronCollisionPolicy {
  /** Kill them, wait for their end, then start. */
  KILL_EXISTING = 0,
  /** Drop the new run. */
  CANCEL_NEW = 1,
  /** Refused by the scheduler; kept for its number. */
  RUN_OVERLAP = 2,
}

// ---------------------------------------------------------------------------------------------
// Jobs: instances of one configuration
// ---------------------------------------------------------------------------------------------

/** A job to be made, or as the scheduler describes it. */
struct JobConfiguration {
  /** Must be set. */
  9: JobKey key
  /** May be unset. For information. */
  7: Identity owner
  /**
   * Minute, hour, day of month, month and day of week, in the time zone of the cluster (GMT by
   * default). Set, even to an empty text, it makes this a cron job, which createJob refuses; it
   * cannot be a service then.
   */
  4: optional string cronSchedule
  /** Unset: KILL_EXISTING. */
  5: CronCollisionPolicy cronCollisionPolicy
  6: TaskConfig taskConfig
  /** Instances 0 to instanceCount - 1; from 1 to the limit of the cluster (4000 by default). */
  8: i32 instanceCount
} (python.immutable = "")

/** Tasks of a job, counted by state. */
struct JobStats {
  /** On a host: ASSIGNED, STARTING, RUNNING, PARTITIONED and those being killed. */
  1: i32 activeTaskCount
  /** FINISHED and KILLED. */
  2: i32 finishedTaskCount
  /** FAILED and LOST. */
  3: i32 failedTaskCount
  /** INIT, PENDING and THROTTLED. */
  4: i32 pendingTaskCount
} (python.immutable = "")

/** A job in an overview. */
struct JobSummary {
  /** Here instanceCount also counts ended tasks that are still stored. */
  1: JobConfiguration job
  2: JobStats stats
  /** Milliseconds since the epoch. Only for a cron job that will run again. */
  3: optional i64 nextCronRunMs
} (python.immutable = "")

/** Instance ids from first to last, both included. */
struct Range {
  1: i32 first
  2: i32 last
} (python.immutable = "")

/** Instances that share one configuration. */
struct ConfigGroup {
  1: TaskConfig config
  /** Since 0.10.0. */
  3: set<Range> (python.immutable = "") instances
} (python.immutable = "")

/** The active tasks of a job, grouped by equal configuration. */
struct ConfigSummary {
  1: JobKey key
  2: set<ConfigGroup> (python.immutable = "") groups
} (python.immutable = "")

/** Jobs of a role, counted. */
struct RoleSummary {
  1: string role
  /** Job keys that have any task, ended ones included. */
  2: i32 jobCount
  /** Cron entries. */
  3: i32 cronJobCount
} (python.immutable = "")

/** Why a task still waits for a host. */
struct PendingReason {
  1: string taskId
  /** Texts joined with a comma, such as "Insufficient: CPU,Insufficient: RAM". Empty: not known (yet). */
  2: string reason
} (python.immutable = "")

// ---------------------------------------------------------------------------------------------
// Queries
// ---------------------------------------------------------------------------------------------

/**
 * Chooses tasks. All fields that are set must match; of a set, any one member. Unset and empty
 * fields do not filter, so an empty query means every stored task, ended ones included. The order
 * of the answer is arbitrary. Complete job keys that are no valid identifiers give ERROR.
 */
struct TaskQuery {
  14: optional string role
  9: optional string environment
  2: optional string jobName
  4: optional set<string> (python.immutable = "") taskIds
  /** Not allowed in getPendingReason. */
  5: optional set<ScheduleStatus> (python.immutable = "") statuses
  7: optional set<i32> (python.immutable = "") instanceIds
  /** Host names; tasks without a host never match. Not allowed in getPendingReason. */
  10: optional set<string> (python.immutable = "") slaveHosts
  11: optional set<JobKey> (python.immutable = "") jobKeys
  /**
   * Matching tasks to leave out. Only for getTasksStatus, getTasksWithoutConfigs and
   * getPendingReason. No stable paging: the order may change between calls.
   */
  12: optional i32 offset
  /** Most tasks to return; 0 for no limit. Same calls, and pruneTasks. */
  13: optional i32 limit
} (python.immutable = "")

// ---------------------------------------------------------------------------------------------
// Updates: moving a service to a new configuration, some instances at a time
// ---------------------------------------------------------------------------------------------

/** State of a job update. A job has at most one active update. */
enum JobUpdateStatus {
  /** Active. */
  ROLLING_FORWARD = 0,
  /** Active. Going back to the configurations before the update. */
  ROLLING_BACK = 1,
  /** Active. Waits for resumeJobUpdate. */
  ROLL_FORWARD_PAUSED = 2,
  /** Active. Waits for resumeJobUpdate. */
  ROLL_BACK_PAUSED = 3,
  /** Terminal, with success. */
  ROLLED_FORWARD = 4,
  /** Terminal. */
  ROLLED_BACK = 5,
  /** Terminal. Stopped by a user; instances stay as they were at that moment. */
  ABORTED = 6,
  /** Terminal. Internal error of the scheduler. */
  ERROR = 7,
  /** Terminal. Too many instances failed. */
  FAILED = 8,
  /** Active. Waits for pulseJobUpdate. */
  ROLL_FORWARD_AWAITING_PULSE = 9,
  /** Active. Waits for pulseJobUpdate. */
  ROLL_BACK_AWAITING_PULSE = 10,
}

/** States in which an update is not over. */
const set<JobUpdateStatus> (python.immutable = "") ACTIVE_JOB_UPDATE_STATES = [
  JobUpdateStatus.ROLLING_FORWARD,
  JobUpdateStatus.ROLLING_BACK,
  JobUpdateStatus.ROLL_FORWARD_PAUSED,
  JobUpdateStatus.ROLL_BACK_PAUSED,
  JobUpdateStatus.ROLL_FORWARD_AWAITING_PULSE,
  JobUpdateStatus.ROLL_BACK_AWAITING_PULSE,
]

/** States in which an update waits for a pulse. The name is misspelt in the API. Since 0.18.0. */
const set<JobUpdateStatus> (python.immutable = "") AWAITNG_PULSE_JOB_UPDATE_STATES = [
  JobUpdateStatus.ROLL_FORWARD_AWAITING_PULSE,
  JobUpdateStatus.ROLL_BACK_AWAITING_PULSE,
]

/** What an update did to an instance; each value at most once per instance. */
enum JobUpdateAction {
  INSTANCE_UPDATED = 1,
  INSTANCE_ROLLED_BACK = 2,
  INSTANCE_UPDATING = 3,
  INSTANCE_ROLLING_BACK = 4,
  INSTANCE_UPDATE_FAILED = 5,
  INSTANCE_ROLLBACK_FAILED = 6,
}

/** Answer to a pulse. */
enum JobUpdatePulseStatus {
  /** The update is active and reckons with pulses. */
  OK = 1,
  /** Any other update, also one that does not exist. */
  FINISHED = 2,
}

/** Address of an update. */
struct JobUpdateKey {
  1: JobKey job
  /** A random UUID, given by the scheduler. */
  2: string id
} (python.immutable = "")

/** A fixed number of instances in work; the next follows as each one is done. Since 0.22.0. */
struct QueueJobUpdateStrategy {
  1: i32 groupSize
} (python.immutable = "")

/** One group after another; the next starts when the whole group is done. Since 0.22.0. */
struct BatchJobUpdateStrategy {
  1: i32 groupSize
  /** Pause before each further group of a roll forward, until resumeJobUpdate. */
  2: bool autopauseAfterBatch
} (python.immutable = "")

/** Like a batch, with a size for each group; the last size repeats. Since 0.22.0. */
struct VariableBatchJobUpdateStrategy {
  /** Each more than 0. */
  1: list<i32> (python.immutable = "") groupSizes
  /** As in BatchJobUpdateStrategy. */
  2: bool autopauseAfterBatch
} (python.immutable = "")

/** In what portions an update goes on. Since 0.22.0. */
union JobUpdateStrategy {
  1: QueueJobUpdateStrategy queueStrategy
  2: BatchJobUpdateStrategy batchStrategy
  3: VariableBatchJobUpdateStrategy varBatchStrategy
} (python.immutable = "")

/** How an update is carried out. */
struct JobUpdateSettings {
  /** Instances in work at once. Used when updateStrategy is unset. */
  1: i32 updateGroupSize
  /** How often one instance may fail; 0 or more. */
  2: i32 maxPerInstanceFailures
  /** How many instances may fail for good; 0 or more. */
  3: i32 maxFailedInstances
  /** Milliseconds in RUNNING after which an instance is regarded as updated; 0 or more. */
  5: i32 minWaitInInstanceRunningMs
  /** True: too many failures start a roll back; false: they end the update as FAILED. */
  6: bool rollbackOnFailure
  /** Empty: all instances. */
  7: set<Range> (python.immutable = "") updateOnlyTheseInstances
  /** True chooses the batch strategy, false the queue. Used when updateStrategy is unset. */
  8: bool waitForBatchCompletion
  /** Milliseconds. More than 0: the update goes on only while the last pulse is younger. */
  9: optional i32 blockIfNoPulsesAfterMs
  /** Kills obey the slaPolicy of the task, which must then be set. Since 0.21.0. */
  10: optional bool slaAware
  /** Since 0.22.0. */
  11: optional JobUpdateStrategy updateStrategy
} (python.immutable = "")

/** A change of state in the life of an update. */
struct JobUpdateEvent {
  1: JobUpdateStatus status
  /** Milliseconds since the epoch. */
  2: i64 timestampMs
  /** Set only when a user caused it. */
  3: optional string user
  4: optional string message
} (python.immutable = "")

/** Something that an update did to one instance. */
struct JobInstanceUpdateEvent {
  1: i32 instanceId
  /** Milliseconds since the epoch. */
  2: i64 timestampMs
  3: JobUpdateAction action
  /** Since 0.21.0. */
  4: optional string message
} (python.immutable = "")

/** A configuration and the instances that have it. */
struct InstanceTaskConfig {
  1: TaskConfig task
  2: set<Range> (python.immutable = "") instances
} (python.immutable = "")

/** Where an update stands. */
struct JobUpdateState {
  1: JobUpdateStatus status
  /** Milliseconds since the epoch; time of the first event. */
  2: i64 createdTimestampMs
  /** Milliseconds since the epoch; time of the last event of the update or of an instance. */
  3: i64 lastModifiedTimestampMs
} (python.immutable = "")

/** An update in an overview. */
struct JobUpdateSummary {
  5: JobUpdateKey key
  /** Who started it: the authenticated name, or UNSECURE where authentication is off. */
  3: string user
  4: JobUpdateState state
  /** Since 0.16.0. */
  6: optional set<Metadata> (python.immutable = "") metadata
} (python.immutable = "")

/** What an update changes. */
struct JobUpdateInstructions {
  /** Configurations of the affected instances before the update. */
  1: set<InstanceTaskConfig> (python.immutable = "") initialState
  /** The new configuration. Unset if the update only takes instances away. */
  2: InstanceTaskConfig desiredState
  3: JobUpdateSettings settings
} (python.immutable = "")

/** An update. */
struct JobUpdate {
  1: JobUpdateSummary summary
  2: JobUpdateInstructions instructions
} (python.immutable = "")

/** An update with its history. */
struct JobUpdateDetails {
  1: JobUpdate update
  /** In order of time. */
  2: list<JobUpdateEvent> (python.immutable = "") updateEvents
  /** In order of time. */
  3: list<JobInstanceUpdateEvent> (python.immutable = "") instanceEvents
} (python.immutable = "")

/** Asks for instances 0 to instanceCount - 1 to have this configuration. */
struct JobUpdateRequest {
  /** Must be a service. */
  1: TaskConfig taskConfig
  2: i32 instanceCount
  3: JobUpdateSettings settings
  /** Since 0.16.0. */
  4: optional set<Metadata> (python.immutable = "") metadata
} (python.immutable = "")

/**
 * Chooses updates. Fields combine as in TaskQuery. The answer is sorted by last change, newest
 * first.
 */
struct JobUpdateQuery {
  2: string role
  8: JobUpdateKey key
  3: JobKey jobKey
  4: string user
  5: set<JobUpdateStatus> (python.immutable = "") updateStatuses
  6: i32 offset
  /** 0 for no limit. */
  7: i32 limit
} (python.immutable = "")

// ---------------------------------------------------------------------------------------------
// Tiers and quota
// ---------------------------------------------------------------------------------------------

/**
 * A class of tasks that the cluster defines. Built in are preferred, preemptible (the default) and
 * revocable. Since 0.14.0.
 */
struct TierConfig {
  1: string name
  /** Keys preemptible and revocable; values are the texts true and false. */
  2: map<string, string> (python.immutable = "") settings
} (python.immutable = "")

// ---------------------------------------------------------------------------------------------
// Maintenance of hosts
// ---------------------------------------------------------------------------------------------

/** Maintenance state of an agent host. */
enum MaintenanceMode {
  NONE = 1,
  /** Announced; new tasks still land there. */
  SCHEDULED = 2,
  /** Tasks are being moved away. */
  DRAINING = 3,
  /** No task is left. */
  DRAINED = 4,
}

/** What is known about one agent host. No call carries it. */
struct HostAttributes {
  1: string host
  2: set<Attribute> (python.immutable = "") attributes
  3: optional MaintenanceMode mode
  4: optional string slaveId
} (python.immutable = "")

/** Hosts that a maintenance call is about. */
struct Hosts {
  1: set<string> (python.immutable = "") hostNames
} (python.immutable = "")

/** Maintenance state of one host. */
struct HostStatus {
  1: string host
  2: MaintenanceMode mode
} (python.immutable = "")

/** A request to drain a host while keeping SLA policies. No call carries it. Since 0.21.0. */
struct HostMaintenanceRequest {
  1: string host
  /** For tasks without an slaPolicy of their own. */
  2: SlaPolicy defaultSlaPolicy
  /** Seconds after which tasks are moved by force. */
  3: i64 timeoutSecs
  /** Milliseconds since the epoch. */
  4: i64 createdTimestampMs
} (python.immutable = "")

/** How the scheduler compares its tasks with those that Mesos knows. Since 0.16.0. */
struct ExplicitReconciliationSettings {
  /** Tasks per request to Mesos; more than 0 if set. */
  1: optional i32 batchSize
} (python.immutable = "")

// ---------------------------------------------------------------------------------------------
// Results: what the calls answer
// ---------------------------------------------------------------------------------------------

/** HTTP header that makes a scheduler answer itself instead of redirecting to the leader. Since 0.12.0. */
const string BYPASS_LEADER_REDIRECT_HEADER_NAME = "Bypass-Leader-Redirect"

/** How a call went. The HTTP status is 200 for all of them. */
enum ResponseCode {
  /** Refused for its content: the configuration is bad, the job is there already, quota is short. */
  INVALID_REQUEST = 0,
  /** Done, accepted, or nothing to do; a detail may say which. */
  OK = 1,
  /** An argument is malformed, or the scheduler failed. The detail may lack its message. */
  ERROR = 2,
  /** Not used by the scheduler. */
  WARNING = 3,
  /** Logged in, but not permitted. */
  AUTH_FAILED = 4,
  /** An active update of the job stands in the way. Up to 0.18.0 its name was LOCK_ERROR. */
  JOB_UPDATING_ERROR = 5,
  /** Storage is not ready. Find the leader again and repeat. */
  ERROR_TRANSIENT = 6,
}

/** Answer to populateJobConfig. */
struct PopulateJobResult {
  /** With all defaults filled in. */
  2: TaskConfig taskConfig
} (python.immutable = "")

/** Answer to getTasksStatus and getTasksWithoutConfigs. */
struct ScheduleStatusResult {
  1: list<ScheduledTask> (python.immutable = "") tasks
} (python.immutable = "")

/** Answer to getJobs. */
struct GetJobsResult {
  1: set<JobConfiguration> (python.immutable = "") configs
} (python.immutable = "")

/**
 * Answer to getQuota. Only production tasks without a dedicated constraint count against quota.
 * A role that was never given any has zero.
 */
struct GetQuotaResult {
  1: ResourceAggregate quota
  /** Use by production tasks without a dedicated constraint. Since 0.10.0 under this name. */
  2: optional ResourceAggregate prodSharedConsumption
  /** Use by other tasks without one. Since 0.10.0 under this name. */
  3: optional ResourceAggregate nonProdSharedConsumption
  /** Use by production tasks with a dedicated constraint. Since 0.10.0. */
  4: optional ResourceAggregate prodDedicatedConsumption
  /** Use by other tasks with one. Since 0.10.0. */
  5: optional ResourceAggregate nonProdDedicatedConsumption
} (python.immutable = "")

/** Answer to listBackups. */
struct ListBackupsResult {
  1: set<string> (python.immutable = "") backups
} (python.immutable = "")

/** Answer to startMaintenance. Hosts that the scheduler does not know are left out. */
struct StartMaintenanceResult {
  1: set<HostStatus> (python.immutable = "") statuses
} (python.immutable = "")

/** Answer to drainHosts and slaDrainHosts. Hosts that the scheduler does not know are left out. */
struct DrainHostsResult {
  1: set<HostStatus> (python.immutable = "") statuses
} (python.immutable = "")

/** Answer to queryRecovery. */
struct QueryRecoveryResult {
  1: set<ScheduledTask> (python.immutable = "") tasks
} (python.immutable = "")

/** Answer to maintenanceStatus. Hosts that the scheduler does not know are left out. */
struct MaintenanceStatusResult {
  1: set<HostStatus> (python.immutable = "") statuses
} (python.immutable = "")

/** Answer to endMaintenance. Hosts that the scheduler does not know are left out. */
struct EndMaintenanceResult {
  1: set<HostStatus> (python.immutable = "") statuses
} (python.immutable = "")

/** Answer to getRoleSummary. */
struct RoleSummaryResult {
  1: set<RoleSummary> (python.immutable = "") summaries
} (python.immutable = "")

/** Answer to getJobSummary. */
struct JobSummaryResult {
  1: set<JobSummary> (python.immutable = "") summaries
} (python.immutable = "")

/** Answer to getConfigSummary. */
struct ConfigSummaryResult {
  1: ConfigSummary summary
} (python.immutable = "")

/** Answer to getPendingReason. */
struct GetPendingReasonResult {
  1: set<PendingReason> (python.immutable = "") reasons
} (python.immutable = "")

/** Answer to startJobUpdate. Describes the update in progress when that is why it was refused. */
struct StartJobUpdateResult {
  1: JobUpdateKey key
  /** Its state is unset when the update has just been started. Since 0.16.0. */
  2: optional JobUpdateSummary updateSummary
} (python.immutable = "")

/** Answer to getJobUpdateSummaries. */
struct GetJobUpdateSummariesResult {
  1: list<JobUpdateSummary> (python.immutable = "") updateSummaries
} (python.immutable = "")

/** Answer to getJobUpdateDetails. */
struct GetJobUpdateDetailsResult {
  /** Set when the call was made with a key. */
  1: JobUpdateDetails details
  /** Filled when the call was made with a query. Since 0.16.0. */
  2: list<JobUpdateDetails> (python.immutable = "") detailsList
} (python.immutable = "")

/** Answer to pulseJobUpdate. */
struct PulseJobUpdateResult {
  1: JobUpdatePulseStatus status
} (python.immutable = "")

/** Answer to getJobUpdateDiff. Since 0.10.0. */
struct GetJobUpdateDiffResult {
  /** Instances that are not active now. */
  1: set<ConfigGroup> (python.immutable = "") add
  /** Active instances that the request does not have. */
  2: set<ConfigGroup> (python.immutable = "") remove
  /** Instances whose configuration would change, with the present one. */
  3: set<ConfigGroup> (python.immutable = "") update
  4: set<ConfigGroup> (python.immutable = "") unchanged
} (python.immutable = "")

/** Answer to getTierConfigs. Since 0.14.0. */
struct GetTierConfigResult {
  1: string defaultTierName
  2: set<TierConfig> (python.immutable = "") tiers
} (python.immutable = "")

/** Who answered. */
struct ServerInfo {
  1: string clusterName
  /** Empty unless the cluster configures one. */
  3: string statsUrlPrefix
} (python.immutable = "")

/** A message for people. */
struct ResponseDetail {
  /** Unset when the scheduler failed without a text. */
  1: string message
} (python.immutable = "")

/** The answer proper; each member names the struct that says which call it belongs to. */
union Result {
  1: PopulateJobResult populateJobResult
  3: ScheduleStatusResult scheduleStatusResult
  4: GetJobsResult getJobsResult
  5: GetQuotaResult getQuotaResult
  6: ListBackupsResult listBackupsResult
  7: StartMaintenanceResult startMaintenanceResult
  8: DrainHostsResult drainHostsResult
  9: QueryRecoveryResult queryRecoveryResult
  10: MaintenanceStatusResult maintenanceStatusResult
  11: EndMaintenanceResult endMaintenanceResult
  17: RoleSummaryResult roleSummaryResult
  18: JobSummaryResult jobSummaryResult
  20: ConfigSummaryResult configSummaryResult
  21: GetPendingReasonResult getPendingReasonResult
  22: StartJobUpdateResult startJobUpdateResult
  23: GetJobUpdateSummariesResult getJobUpdateSummariesResult
  24: GetJobUpdateDetailsResult getJobUpdateDetailsResult
  25: PulseJobUpdateResult pulseJobUpdateResult
  /** Since 0.10.0. */
  26: GetJobUpdateDiffResult getJobUpdateDiffResult
  /** Since 0.14.0. */
  27: GetTierConfigResult getTierConfigResult
} (python.immutable = "")

/** Envelope of every answer. */
struct Response {
  1: ResponseCode responseCode
  5: ServerInfo serverInfo
  /** Unset on failure, and for calls that have nothing to return. */
  3: optional Result result
  /** Often empty; there may be messages with OK as well. */
  6: list<ResponseDetail> (python.immutable = "") details
} (python.immutable = "")

// ---------------------------------------------------------------------------------------------
// Services. All three are served together; a job key argument that is missing or malformed gives
// ERROR, usually without a message.
// ---------------------------------------------------------------------------------------------

/** Calls that change nothing. They need no login and may be repeated freely. */
service ReadOnlyScheduler {
  /** Counts the jobs of each role that has tasks or cron entries. */
  Response getRoleSummary()

  /** Overview of the jobs of a role, ended ones included as long as tasks are stored. Unset role: all. */
  Response getJobSummary(1: string role)

  /** Tasks that match, with their whole configuration. The list may be empty. */
  Response getTasksStatus(1: TaskQuery query)

  /**
   * The same, but with executorConfig.data unset: much smaller, so meant for polling. A match
   * without executorConfig makes the call fail with ERROR.
   */
  Response getTasksWithoutConfigs(1: TaskQuery query)

  /** Why matching PENDING tasks wait. The query must not set statuses or slaveHosts. */
  Response getPendingReason(1: TaskQuery query)

  /** The active tasks of a job, grouped by configuration. */
  Response getConfigSummary(1: JobKey job)

  /**
   * Jobs with active tasks, and cron entries. Unset role: all. For a job without a cron entry,
   * instanceCount is the number of active tasks and the configuration is the latest in use.
   */
  Response getJobs(1: string ownerRole)

  /** Quota of a role and what its tasks use. */
  Response getQuota(1: string ownerRole)

  /** Checks a job as createJob would, without quota and without making it. */
  Response populateJobConfig(1: JobConfiguration description)

  /** Updates that match, in short. */
  Response getJobUpdateSummaries(1: JobUpdateQuery jobUpdateQuery)

  /** Updates with their history. The key is out of date: give a query, which goes first (since 0.16.0). */
  Response getJobUpdateDetails(1: JobUpdateKey key, 2: JobUpdateQuery query)

  /** What an update would change. Not for cron jobs. Since 0.10.0. */
  Response getJobUpdateDiff(1: JobUpdateRequest request)

  /** The tiers of the cluster. Since 0.14.0. */
  Response getTierConfigs()
}

/**
 * Calls that change jobs. They need a login where the cluster has authentication on, and all but
 * startCronJob and the calls about updates answer JOB_UPDATING_ERROR while the job has an active
 * update. Unless a call says otherwise it has no result, and a lost answer leaves open whether it
 * took effect.
 */
service AuroraSchedulerManager extends ReadOnlyScheduler {
  /**
   * Makes a job: one PENDING task per instance. INVALID_REQUEST if a job of that key has active
   * tasks or a cron entry; one whose tasks have all ended is no obstacle. A repeat after a lost
   * answer can therefore run a short job twice: look for its tasks first.
   */
  Response createJob(1: JobConfiguration description)

  /** Makes or replaces a cron entry; starts nothing. */
  Response scheduleCronJob(1: JobConfiguration description)

  /** Removes a cron entry; tasks that run go on. OK also if there is none. */
  Response descheduleCronJob(4: JobKey job)

  /** Starts a run of a cron entry now, under its collision policy. */
  Response startCronJob(4: JobKey job)

  /**
   * Kills the tasks of these instances and starts new ones. All ids must be active, and the set
   * not empty. Tasks that have no host yet stay as they are.
   */
  Response restartShards(5: JobKey job, 3: set<i32> shardIds)

  /**
   * Kills active tasks: of these instances, or all if unset or empty. Answers before they have
   * ended. Tasks without a host vanish at once and are in no later answer. OK also if there is
   * nothing to kill, so a repeat is safe. Arguments job and instances since 0.12.0, message since
   * 0.18.0.
   */
  Response killTasks(4: JobKey job, 5: set<i32> instances, 6: string message)

  /**
   * Adds count instances with the configuration of an active one. Not for cron jobs. Since 0.12.0
   * with these arguments.
   */
  Response addInstances(3: InstanceKey key, 4: i32 count)

  /** Like scheduleCronJob, for an entry that must exist. */
  Response replaceCronTemplate(1: JobConfiguration config)

  /**
   * Starts an update, of a new job too. Only for services. OK without a result if nothing would
   * change. After a lost answer it may be repeated: the scheduler then says that nothing changes,
   * or names the update in progress.
   */
  Response startJobUpdate(1: JobUpdateRequest request, 3: string message)

  /** Halts an update in its present direction. OK also if it is halted already. */
  Response pauseJobUpdate(1: JobUpdateKey key, 3: string message)

  /** Goes on with a halted update. */
  Response resumeJobUpdate(1: JobUpdateKey key, 3: string message)

  /** Ends an update and leaves the instances as they are. */
  Response abortJobUpdate(1: JobUpdateKey key, 3: string message)

  /** Turns an update that rolls forward back. Since 0.16.0. */
  Response rollbackJobUpdate(1: JobUpdateKey key, 2: string message)

  /** Keeps an update going that has blockIfNoPulsesAfterMs. */
  Response pulseJobUpdate(1: JobUpdateKey key)
}

/** Calls for the administrators of a cluster. */
service AuroraAdmin extends AuroraSchedulerManager {
  /** Sets the quota of a role. It cannot be less than production tasks of the role use now. */
  Response setQuota(1: string ownerRole, 2: ResourceAggregate quota)

  /** Tries to move a task to a state. OK whether or not the state machine allowed it. */
  Response forceTaskState(1: string taskId, 2: ScheduleStatus status)

  /** Writes a backup. */
  Response performBackup()

  /** Names of the backups. */
  Response listBackups()

  /** Loads a backup for a recovery; one at a time. */
  Response stageRecovery(1: string backupId)

  /** Tasks in the loaded backup. */
  Response queryRecovery(1: TaskQuery query)

  /** Deletes tasks from the loaded backup. */
  Response deleteRecoveryTasks(1: TaskQuery query)

  /** Replaces the storage by the loaded backup and shuts the scheduler down. */
  Response commitRecovery()

  /** Drops the loaded backup. */
  Response unloadRecovery()

  /** Marks hosts as SCHEDULED. */
  Response startMaintenance(1: Hosts hosts)

  /** Moves the tasks away from hosts at once. */
  Response drainHosts(1: Hosts hosts)

  /** Present modes of hosts. */
  Response maintenanceStatus(1: Hosts hosts)

  /** Marks hosts as NONE. */
  Response endMaintenance(1: Hosts hosts)

  /**
   * Moves tasks away as their SLA policies permit, and by force after timeoutSecs. defaultSlaPolicy
   * stands for tasks without one. Since 0.21.0.
   */
  Response slaDrainHosts(1: Hosts hosts, 2: SlaPolicy defaultSlaPolicy, 3: i64 timeoutSecs)

  /** Writes a snapshot of the storage. */
  Response snapshot()

  /** Asks Mesos about the tasks that the scheduler believes to run. Since 0.16.0. */
  Response triggerExplicitTaskReconciliation(1: ExplicitReconciliationSettings settings)

  /** Asks Mesos for all tasks that it knows. Since 0.16.0. */
  Response triggerImplicitTaskReconciliation()

  /**
   * Deletes ended tasks that match; all of them if statuses is unset. A state that is not terminal
   * gives ERROR. Since 0.18.0.
   */
  Response pruneTasks(1: TaskQuery query)
}
