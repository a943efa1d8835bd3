// SPDX-License-Identifier: Apache-2.0

/**
 * What an application reads and writes.
 *
 * Wire-compatible with Airavata develop (0.21). Names, ids and types are facts of the wire; the
 * explanations were written for this project.
 */

namespace py airavata_mesos_plugin.gen.airavata.io
namespace java org.apache.airavata.model.application.io

/** What an input or output is. The last two are written by the application itself. */
enum DataType {
  STRING = 0,
  INTEGER = 1,
  FLOAT = 2,
  URI = 3,
  URI_COLLECTION = 4,
  STDOUT = 5,
  STDERR = 6,
}

/** One input of an application or process. */
struct InputDataObjectType {
  1: required string name
  /** A URI or a plain value; several URIs are separated by commas. */
  2: optional string value
  3: optional DataType type
  4: optional string applicationArgument
  5: optional bool standardInput
  6: optional string userFriendlyDescription
  7: optional string metaData
  /** Position on the command line, and order of staging. */
  8: optional i32 inputOrder
  9: optional bool isRequired
  10: optional bool requiredToAddedToCommandLine
  11: optional bool dataStaged
  12: optional string storageResourceId
  13: optional bool isReadOnly
  /** Name that the file gets in the working directory. */
  14: optional string overrideFilename
}

/** One output of an application or process. */
struct OutputDataObjectType {
  1: required string name
  /** Path below the working directory; its last part may hold *. */
  2: optional string value
  3: optional DataType type
  4: optional string applicationArgument
  5: optional bool isRequired
  6: optional bool requiredToAddedToCommandLine
  7: optional bool dataMovement
  8: optional string location
  /** Read by the 0.17 line only. */
  9: optional string searchQuery
  10: optional bool outputStreaming
  11: optional string storageResourceId
  12: optional string metaData
}
