// SPDX-License-Identifier: Apache-2.0

/**
 * How the ranks and threads of an application are started.
 *
 * Wire-compatible with Airavata develop (0.21). Names, ids and types are facts of the wire; the
 * explanations were written for this project.
 */

namespace py airavata_mesos_plugin.gen.airavata.parallelism
namespace java org.apache.airavata.model.parallelism

/** Decides which prefix of the job manager stands before the executable. */
enum ApplicationParallelismType {
  SERIAL = 0,
  MPI = 1,
  OPENMP = 2,
  OPENMP_MPI = 3,
  CCM = 4,
  CRAY_MPI = 5,
}
