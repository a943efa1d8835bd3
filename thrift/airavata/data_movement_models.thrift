// SPDX-License-Identifier: Apache-2.0

/**
 * How files travel and how a connection is secured; only what a process names.
 *
 * Wire-compatible with Airavata develop (0.21). Names, ids and types are facts of the wire; the
 * explanations were written for this project.
 */

namespace py airavata_mesos_plugin.gen.airavata.data_movement
namespace java org.apache.airavata.model.data.movement

/** What proves an identity to a host. */
enum SecurityProtocol {
  USERNAME_PASSWORD = 0,
  SSH_KEYS = 1,
  GSI = 2,
  KERBEROS = 3,
  OAUTH = 4,
  LOCAL = 5,
}

/** What carries files between two hosts. */
enum DataMovementProtocol {
  LOCAL = 0,
  SCP = 1,
  SFTP = 2,
  GridFTP = 3,
  UNICORE_STORAGE_SERVICE = 4,
}
