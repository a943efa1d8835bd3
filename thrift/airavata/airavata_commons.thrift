// SPDX-License-Identifier: Apache-2.0

/**
 * What several models share.
 *
 * Wire-compatible with Airavata develop (0.21). Names, ids and types are facts of the wire; the
 * explanations were written for this project.
 */

namespace py airavata_mesos_plugin.gen.airavata.commons
namespace java org.apache.airavata.model.commons

/** Put into an id that the server has to choose. */
const string DEFAULT_ID = "DO_NOT_SET_AT_CLIENTS"

/** What went wrong, once for the log and once for the person who waits. */
struct ErrorModel {
  1: required string errorId = DEFAULT_ID
  2: optional i64 creationTime
  3: optional string actualErrorMessage
  4: optional string userFriendlyMessage
  /** True when it may work later. */
  5: optional bool transientOrPersistent = false
  6: optional list<string> rootCauseErrorIdList
}
