// SPDX-License-Identifier: Apache-2.0

/**
 * The provider as a service: submit jobs, follow them, end them, and read what they leave.
 *
 * Transport: framed, with the strict binary protocol, over a Unix socket (provider.sock in the home
 * directory of the daemon) or over TCP with TLS and client certificates. A request may be 1 MiB larger
 * than the largest script that the settings allow (4 MiB by default); what is larger, malformed, or does
 * not come within 30 seconds ends the connection. One connection carries one call at a time, and stays
 * open for 10 minutes without one.
 *
 * The caller is the account at the other end of the Unix socket, or the account that the settings give
 * to the name in the client certificate. Everyone may see the state of all jobs, as squeue shows it;
 * scripts, files and cancels are for the owner of a job and for root.
 *
 * Times are milliseconds since the epoch; an unset time has not come yet. Sizes of files are bytes,
 * memory and disk are megabytes (1024 * 1024 bytes), durations are seconds.
 *
 * Each call says what a repeat of it does. After an error with outcomeUnknown the call may have taken
 * effect.
 *
 * In Python exceptions would be frozen by default, and then contextlib could not raise them again; hence
 * the annotation python.immutable on them.
 */

namespace py airavata_mesos_plugin.gen.provider
namespace java org.apache.airavata.mesos.provider
namespace go airavata.mesos.provider

/** Raised when calls or fields come that older peers do not know. Additions alone do not raise it. */
const i32 INTERFACE_VERSION = 3

/** Most jobs that one call takes or lists. */
const i32 MAX_JOBS = 1000

/** Most events of all jobs together in one answer. */
const i32 MAX_EVENTS = 10000

/** Most files of one listing. */
const i32 MAX_FILES = 10000

/** Most bytes of a file that one call returns. */
const i32 MAX_READ_BYTES = 1048576

/** Where a job stands. Phases go forward in this order; those from COMPLETED on are final. */
enum Phase {
  /** Recorded; nothing was sent to a scheduler. */
  ACCEPTED = 0,
  /** On its way to the scheduler. */
  SUBMITTING = 1,
  /** The scheduler has it and it waits for a host. A job that lost its host returns to here. */
  QUEUED = 2,
  RUNNING = 3,
  /** The task is over and its outputs are on their way to the working directory. */
  FETCHING = 4,
  COMPLETED = 5,
  FAILED = 6,
  /** Ended at its wall time. */
  TIMEOUT = 7,
  CANCELLED = 8,
  /** The cluster lost it; nobody knows how far it came. */
  LOST = 9,
}

/**
 * What a job is. Unset amounts are taken from the queue. Nodes and tasks are counted as by sbatch of SLURM: on
 * several nodes all start or none, and the script runs on the first one.
 */
struct JobSpec {
  /** Shown in listings; at most 255 bytes. */
  1: required string name
  /** Absolute path of a directory that is there and that the caller may write. */
  2: required string workingDirectory
  /** Text of the job script, from the first line with #! on. Directives in it are comments here. */
  3: required string script
  /** Unset: the default queue. */
  4: optional string queue
  /** Ranks of the job. Unset: one on each node, or tasksPerNode. With fewer than nodes it has fewer nodes. */
  5: optional i32 tasks
  6: optional i32 cpusPerTask
  /** Memory on each node. */
  7: optional i32 memoryMb
  /** On each node. */
  8: optional i32 gpus = 0
  9: optional i32 wallTimeSeconds
  /** Path below the working directory. It may hold the patterns of sbatch, such as %j for the id. */
  10: optional string standardOutput = "slurm-%j.out"
  /** Unset: standard error goes where standard output goes. */
  11: optional string standardError
  /** Passed to the script. */
  12: optional list<string> arguments
  13: optional string account
  14: optional string comment
  /** Kept with the job, and usable to find it again; at most 32, each text at most 255 bytes. */
  15: optional map<string, string> labels
  /** Unset: one, or as many as tasks and tasksPerNode take. At most maxNodes of the queue. */
  16: optional i32 nodes
  /** Most ranks on one node. */
  17: optional i32 tasksPerNode
}

/** One recorded change of a job. */
struct JobEvent {
  /** From 1 up, without gaps, for each job. */
  1: required i64 sequence
  2: required i64 time
  3: required Phase phase
  /** Who says so: sbatch, peer, aurora, fetch, scancel, provider ... */
  4: required string source
  5: optional string reason
  6: optional string nativeState
}

/** A job as the provider knows it. */
struct JobInfo {
  1: required i64 id
  2: required string name
  3: required string user
  4: required string queue
  5: required string cluster
  6: required Phase phase
  /** True when nothing can follow. */
  7: required bool isFinal
  /** Name of the state in Airavata's JobState, such as ACTIVE or COMPLETE. */
  8: required string airavataState
  /** Long name of the state in SLURM, such as RUNNING. */
  9: required string slurmState
  /** What the scheduler calls it; empty before it knows the job. */
  10: optional string nativeState
  /** Role, environment and name of the job in its cluster, separated by slashes. */
  11: required string jobKey
  /** How often the scheduler started the job anew, from 0. */
  12: required i32 run
  /** Of several nodes the first one, which runs the script. */
  13: optional string host
  14: optional i32 exitCode
  /** Number of the signal that ended the script. */
  15: optional i32 signalNumber
  /** Why the job is where it is: why it waits, or how it ended. */
  16: optional string reason
  17: required string workingDirectory
  18: required i64 acceptedAt
  19: optional i64 queuedAt
  20: optional i64 startedAt
  /** End of the task, not of the way of its outputs. */
  21: optional i64 endedAt
  22: required i64 changedAt
  /** Set once the end of the job was asked for. */
  23: optional i64 cancelRequestedAt
  24: optional map<string, string> labels
  /** Oldest first. Only follow fills it, with what came after the given event. */
  25: optional list<JobEvent> events
  /** Path below the working directory, as bytes; not known for sure before the job has a host. */
  26: required binary standardOutput
  27: required binary standardError
  /** How many the job asks for. */
  28: optional i32 nodes
  /** Names of the nodes that it has, the first one first. */
  29: optional list<string> nodeNames
}

/** From where on the events of a job are wanted. */
struct Cursor {
  1: required i64 jobId
  /** Sequence number of the last event that the caller has; 0 for none. */
  2: optional i64 afterSequence = 0
}

/** Which jobs; each condition that is set must hold. */
struct JobQuery {
  1: optional list<string> users
  2: optional list<string> names
  3: optional list<string> queues
  4: optional set<Phase> phases
  /** Labels that a job must have with these values. */
  5: optional map<string, string> labels
  /** At most MAX_JOBS, which is also what unset means. */
  6: optional i32 limit
}

/** What a cancel found. */
struct CancelResult {
  1: required i64 jobId
  /** False when the job was over, or its end was asked for before. */
  2: required bool asked
  /** The phase that the job had before. */
  3: required Phase phaseBefore
  /** Set when this job could not be ended by this caller; the others were not affected. */
  4: optional string refusal
}

/** A file that was not in the working directory, or not like this, when the job was submitted. */
struct OutputFile {
  /** Path below the working directory, as bytes: names on Linux need not be UTF-8. */
  1: required binary name
  2: required i64 size
}

/** A piece of a file. */
struct FileChunk {
  1: required binary data
  /** Of the first byte after the piece: where the next read goes on. */
  2: required i64 offset
  /** True when the job is over and the file was read to its end. */
  3: required bool atEnd
}

/** Where the files of a job were looked at. */
enum FilePlace {
  /** In the job's sandbox, as they are there now. */
  SANDBOX = 0,
  /** In its working directory: before the job runs, and when its sandbox is gone. */
  WORKING_DIRECTORY = 1,
}

/** One line of a listing, as ls -l has it. */
struct FileEntry {
  /** Bytes; relative to the directory that was listed, or to the working directory. */
  1: required binary name
  /** Letter of ls: - regular file, d directory, l link, p FIFO, s socket, c and b devices. */
  2: required string kind
  3: required i64 size
  /** Time of the last change, in whole seconds; a sandbox tells no parts of them. */
  4: required i64 modifiedAt
  /** Permissions, without set-uid, set-gid and sticky bits. */
  5: required i32 mode
  /** Of a link, where links are shown as such; agents of Mesos follow them and do not tell. */
  6: optional binary target
}

/** A file that cannot be taken, and why. */
struct LeftOutFile {
  1: required binary name
  2: required string reason
}

/** Files of a job, in the order of the names' bytes. */
struct FileListing {
  1: required FilePlace place
  /** At most MAX_FILES. */
  2: required list<FileEntry> entries
  /** There are more; ask again with the last name. */
  3: required bool hasMore
  /** Files that would belong here and cannot be taken. */
  4: required list<LeftOutFile> leftOut
}

/** What comes next in a file. */
struct FileStep {
  /** True when the file was cut short, replaced, or begun by a new run of the job: data begins at its
   *  first byte, and what came before is of an earlier state. */
  1: required bool isAnew
  2: required binary data
  /** Where the next step begins. Opaque; good as long as the job is known. */
  3: required string cursor
  /** True when there was no more for now: what has come is the whole file as it is. */
  4: required bool atEnd
  /** True when no more can come: the job is over, and the file was read to its end. */
  5: required bool isOver
  /** What people should know before they read on, such as bytes that could not be had. */
  6: required list<string> notes
}

/** Amounts of one node, or of a whole job. */
struct Resources {
  1: required double cpus
  2: required i64 memoryMb
  3: required i64 diskMb
  4: required i32 gpus
}

/** A node as it was last seen. */
struct Node {
  1: required string host
  2: required Resources total
  3: required Resources used
}

/** A cluster as it was last seen. */
struct Cluster {
  1: required string name
  2: required string kind
  3: required list<Node> nodes
  /** When its scheduler last answered. */
  4: optional i64 answeredAt
  /** Why it does not answer now. */
  5: optional string trouble
}

/** A queue with its limits; an unset limit is what the nodes have. */
struct Queue {
  1: required string name
  2: required string cluster
  3: required bool isDefault
  4: required i32 maxWallTimeSeconds
  5: required i32 defaultWallTimeSeconds
  6: optional i32 maxCpus
  7: optional i64 maxMemoryMb
  8: required i64 defaultMemoryMbPerCpu
  /** Space of a job's sandbox. */
  9: required i64 diskMb
  /** Most nodes of one job. */
  10: optional i32 maxNodes
}

/** What answers. */
struct Version {
  /** Release of the provider. */
  1: required string release
  /** The INTERFACE_VERSION that it was built with. */
  2: required i32 interfaceVersion
  /** Name of this compute resource. */
  3: required string resource
  /** The account that the caller was taken for. */
  4: required string user
}

/** What was asked for can never be done like this. */
exception InvalidRequest {
  1: required string message
  /** What to do about it; may be empty. */
  2: required string advice
  /** The same call has a chance later, with nothing else changed. */
  3: required bool isTransient
  4: required bool outcomeUnknown
} (python.immutable = "false")

/** There is no such job, queue or file. */
exception NotFound {
  1: required string message
  2: required string advice
  3: required bool isTransient
  4: required bool outcomeUnknown
} (python.immutable = "false")

/** The caller is not allowed to do this. */
exception Refused {
  1: required string message
  2: required string advice
  3: required bool isTransient
  4: required bool outcomeUnknown
} (python.immutable = "false")

/** It was allowed and possible, and did not work. */
exception Failure {
  1: required string message
  2: required string advice
  3: required bool isTransient
  4: required bool outcomeUnknown
} (python.immutable = "false")

/** One provider and its clusters. */
service MesosProvider {

  /** Who answers, and whom it takes the caller for. Repeatable. */
  Version version() throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /** The queues in the order of the settings. Repeatable. */
  list<Queue> queues() throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /** All clusters with their nodes as last seen; asks no scheduler. Repeatable. */
  list<Cluster> capacity() throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /**
   * Accept a job; it is durable when this returns, and starts later.
   *
   * The token is made by the caller, 1 to 255 bytes. A repeat with the same token and the same job gives
   * the job that the first call made, in whatever phase it is now; with another job it is an
   * InvalidRequest. Tokens of different accounts never meet.
   */
  JobInfo submit(1: string token, 2: JobSpec job) throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /** The job that this account submitted with a token. Repeatable. */
  JobInfo find(1: string token) throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /**
   * The jobs with these ids, each with the events that came after its cursor, in the order of the
   * cursors. Jobs that do not exist are left out. At most MAX_JOBS cursors; at most MAX_EVENTS events
   * come in one answer, the next call gets the rest. Repeatable.
   */
  list<JobInfo> follow(1: list<Cursor> cursors) throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /** The jobs that a query names, newest first, without their events. Repeatable. */
  list<JobInfo> jobs(1: JobQuery query) throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /**
   * Ask for the end of jobs; durable when this returns, and carried out soon after. A job is over once
   * its phase is final: a job that ends by itself in the meantime keeps its own outcome. Jobs that do
   * not exist are left out of the answer. Repeatable.
   */
  list<CancelResult> cancel(1: list<i64> jobIds) throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /** The script of a job as it was accepted. Repeatable. */
  string script(1: i64 jobId) throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /**
   * What a job has left in its working directory so far, in the order of the names' bytes: at most
   * MAX_FILES whose names come after the given one, which is empty at first. Repeatable.
   */
  list<OutputFile> outputs(1: i64 jobId, 2: binary afterName) throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /**
   * Bytes of a file of the working directory from an offset on: from the sandbox while the job runs,
   * from the directory afterwards. A negative offset counts from the present end. An empty piece means
   * that there is nothing new, or that the file is not there yet. At most length bytes, and never more
   * than MAX_READ_BYTES. Repeatable.
   */
  FileChunk read(1: i64 jobId, 2: binary name, 3: i64 offset, 4: i32 length) throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /**
   * The last bytes of standard output, or of standard error, as far as they are there. The offset leads
   * on with read and the name of the log in JobInfo. Repeatable.
   */
  FileChunk tail(1: i64 jobId, 2: bool standardError, 3: i32 length) throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /**
   * What is in a directory of a job, in its sandbox while there is one; the empty name is the working
   * directory itself. At most MAX_FILES whose names come after the given one, which is empty at first.
   * Repeatable.
   */
  FileListing browse(1: i64 jobId, 2: binary directory, 3: binary afterName) throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /**
   * The files of a job that have one of the patterns as their name, or match one as in a .gitignore file;
   * without patterns all files. With onlyNew inputs are not among them unless they have changed. At most
   * MAX_FILES, as browse. Repeatable.
   */
  FileListing choose(1: i64 jobId, 2: list<binary> patterns, 3: bool onlyNew, 4: binary afterName) throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)

  /**
   * What comes after a cursor in a file of a job; the empty cursor is the beginning. To take a file, step
   * until atEnd, and drop what came before a step that isAnew. To follow it, go on until isOver: every
   * byte comes once, also when the file is rotated, and while the job goes from its sandbox to its end. At
   * most about length bytes, and MAX_READ_BYTES, come at once. Repeatable: the same cursor gives the same
   * bytes, and perhaps more.
   */
  FileStep step(1: i64 jobId, 2: binary name, 3: string cursor, 4: i32 length) throws (
    1: InvalidRequest invalid, 2: NotFound notFound, 3: Refused refused, 4: Failure failure)
}
