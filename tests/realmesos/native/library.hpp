// What this program uses of the published library: its names as the symbol table says them, and
// the few value types whose layout matters. Objects of the library are never laid out here: they
// are built by their own constructors inside roomy zeroed blocks and handled by address only.
#pragma once

#include <cxxabi.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <typeinfo>

// The release: 9, 10 or 11.  What came with a release is marked with SINCE.
#ifndef MESOS_MINOR
#define MESOS_MINOR 11
#endif
#if MESOS_MINOR >= 10
#define SINCE_10(...) __VA_ARGS__
#else
#define SINCE_10(...)
#endif
#if MESOS_MINOR >= 11
#define SINCE_11(...) __VA_ARGS__
#else
#define SINCE_11(...)
#endif

// ---- small value types whose layout matters --------------------------------

template <class T>
struct Option {
  int state = 1;                    // 0: has a value
  union { T t; };
  Option() {}
  Option(const T& v) : state(0), t(v) {}
  Option(const Option& o) : state(o.state) { if (!state) new (&t) T(o.t); }
  ~Option() { if (!state) t.~T(); }
  bool some() const { return state == 0; }
};

struct Error { std::string message; };

template <class T, class E = Error>
struct Try {
  Option<T> data;
  Option<E> error_;
  T& get(const char* what) {
    if (!data.some()) {
      fprintf(stderr, "%s: %s\n", what,
              error_.some() ? error_.t.message.c_str() : "?");
      exit(1);
    }
    return data.t;
  }
};

template <size_t N> struct Blob { alignas(8) char raw[N] = {}; };

struct Duration { int64_t nanos; };
struct Nothing {};

// ---- names of the library --------------------------------------------------

using S = std::string;

namespace flags {
struct Warnings { void* v[3] = {}; };
struct FlagsBase {
  Try<Warnings> load(const Option<S>& prefix, int argc,
                     const char* const* argv, bool unknowns, bool duplicates);
  S usage(const Option<S>& message) const;
};
}

namespace process {
class ProcessBase;
class RateLimiter;
struct Event;
struct MessageEvent;
struct DispatchEvent;
struct HttpEvent;
struct ExitedEvent;
struct TerminateEvent;
struct UPID : Blob<512> { explicit UPID(const ProcessBase&); };
template <class T> struct Owned {
  struct Data { T* t; };
  std::shared_ptr<Data> data;
};
template <class T> struct Future {
  std::shared_ptr<void> data;
  bool await(const Duration&) const;
};
namespace network {
namespace unix { struct Address : Blob<128> {}; }
namespace internal { template <class A> struct Socket : Blob<16> {}; }
}
bool initialize(const Option<S>&, const Option<S>&, const Option<S>&);
UPID spawn(ProcessBase*, bool manage);
bool wait(const UPID&, const Duration&);
namespace ID { S generate(const S& prefix); }

// The one class hierarchy that is derived from here, so its virtual functions
// stand in the order of the library's tables.
struct EventConsumer {
  virtual ~EventConsumer();
  virtual void consume(MessageEvent&&);
  virtual void consume(DispatchEvent&&);
  virtual void consume(HttpEvent&&);
  virtual void consume(ExitedEvent&&);
  virtual void consume(TerminateEvent&&);
};
class ProcessBase : public EventConsumer {
 public:
  explicit ProcessBase(const S& id = "");
  ~ProcessBase() override;
  virtual void serve(Event&&);
  void consume(MessageEvent&&) override;
  void consume(DispatchEvent&&) override;
  void consume(HttpEvent&&) override;
  void consume(ExitedEvent&&) override;
  void consume(TerminateEvent&&) override;
  virtual void initialize();
  virtual void finalize();
  virtual void exited(const UPID&);
  virtual void lost(const UPID&);
  char room[8192];
};
template <class T> class Process : public virtual ProcessBase {};
}

namespace zookeeper { struct Authentication : Blob<64> {}; }

namespace mesos {
struct ACLs : Blob<4096> {};
struct MasterInfo : Blob<4096> { MasterInfo(const MasterInfo&); };
class Authorizer {
 public:
  static Try<Authorizer*> create(const ACLs&);
};
class SecretGenerator;
class SecretResolver {
 public:
  static Try<SecretResolver*> create(const Option<S>&);
};
namespace allocator { class Allocator; }
namespace log {
struct Log {
  Log(int quorum, const S& path, const S& servers, const Duration& timeout,
      const S& znode, const Option<zookeeper::Authentication>&, bool autoinit,
      const Option<S>& metrics);
  Log(int quorum, const S& path, const std::set<process::UPID>& peers,
      bool autoinit, const Option<S>& metrics);
};
}
namespace state {
class Storage;
struct State { void* vptr; Storage* storage; };
struct LogStorage { LogStorage(log::Log*, unsigned long diffs); };
struct InMemoryStorage { InMemoryStorage(); };
}
namespace master {
namespace contender {
class MasterContender {
 public:
  static Try<MasterContender*> create(const Option<S>&, const Option<S>&,
                                      const Option<Duration>&);
};
}
namespace detector {
class MasterDetector {
 public:
  static Try<MasterDetector*> create(const Option<S>&, const Option<S>&,
                                     const Option<Duration>&);
};
class StandaloneMasterDetector {
 public:
  void appoint(const Option<MasterInfo>&);
};
}
}
namespace modules {
struct ModuleManager { static Try<char> load(const S& dir); };
}
namespace slave {
class ResourceEstimator {
 public:
  static Try<ResourceEstimator*> create(const Option<S>&);
};
class QoSController {
 public:
  static Try<QoSController*> create(const Option<S>&);
};
}
namespace authentication { namespace executor {
struct JWTSecretGenerator { explicit JWTSecretGenerator(const S& key); };
}}

namespace internal {
struct VersionProcess { VersionProcess(); };
struct Files { Files(const Option<S>& realm, const Option<Authorizer*>&); };
// Only main() ever makes one of these; without it an agent has nothing to
// answer /containerizer/debug with.
class PendingFutureTrackerProcess
    : public process::Process<PendingFutureTrackerProcess> {
 public:
  PendingFutureTrackerProcess()
      : ProcessBase(process::ID::generate("pending-future-tracker")) {}
  std::list<char> pending;  // of something else, but a list is a list
};
struct PendingFutureTracker {
  process::Owned<PendingFutureTrackerProcess> process;
};
namespace logging {
struct Flags : Blob<16384> { Flags(); };
void initialize(const S& argv0, bool signals, const Option<Flags>&);
}
namespace master {
struct Flags { Flags(); };
class Registrar;
struct Master {
  Master(mesos::allocator::Allocator*, Registrar*, Files*,
         mesos::master::contender::MasterContender*,
         mesos::master::detector::MasterDetector*,
         const Option<Authorizer*>&,
         const Option<std::shared_ptr<process::RateLimiter>>&, const Flags&);
};
class Registrar {
 public:
  Registrar(const Flags&, mesos::state::State*, const Option<S>& realm);
};
}
namespace slave {
struct Flags { Flags(); };
class CSIServer;
class VolumeGidManager;
struct Fetcher { explicit Fetcher(const Flags&); };
struct GarbageCollector { explicit GarbageCollector(const S& work_dir); };
struct TaskStatusUpdateManager {
  explicit TaskStatusUpdateManager(const Flags&);
};
class Containerizer {
 public:
  static Try<Containerizer*> create(const Flags&, bool local, Fetcher*,
                                    GarbageCollector*, SecretResolver*,
                                    VolumeGidManager*, PendingFutureTracker*
                                    SINCE_11(, CSIServer*));
};
struct Slave {
  Slave(const S& id, const Flags&, mesos::master::detector::MasterDetector*,
        Containerizer*, Files*, GarbageCollector*, TaskStatusUpdateManager*,
        mesos::slave::ResourceEstimator*, mesos::slave::QoSController*,
        SecretGenerator*, VolumeGidManager*, PendingFutureTracker*,
        SINCE_11(process::Owned<CSIServer>&&,)
        SINCE_10(const Option<process::network::internal::Socket<
            process::network::unix::Address>>&,)
        const Option<Authorizer*>&);
};
struct IOSwitchboardServer {
  static Try<process::Owned<IOSwitchboardServer>> create(
      bool tty, int stdin_to, int stdout_from, int stdout_to, int stderr_from,
      int stderr_to, const S& socket, bool wait_for_connection,
      Option<Duration> heartbeat);
  process::Future<Nothing> run();
  process::Future<Nothing> unblock();
};
struct MesosContainerizerLaunch {
  struct Flags { Flags(); };
  int execute();
};
struct NetworkCniIsolatorSetup {
  struct Flags { Flags(); };
  int execute();
};
}
}
}

// Names that cannot be spelled as ordinary declarations.
#define SYM(name, label) extern "C" char name[] asm(label)
SYM(ti_flagsbase, "_ZTIN5flags9FlagsBaseE");
SYM(ti_logging_flags, "_ZTIN5mesos8internal7logging5FlagsE");
SYM(ti_master_flags, "_ZTIN5mesos8internal6master5FlagsE");
SYM(ti_slave_flags, "_ZTIN5mesos8internal5slave5FlagsE");
SYM(ti_launch_flags,
    "_ZTIN5mesos8internal5slave24MesosContainerizerLaunch5FlagsE");
SYM(ti_process, "_ZTIN7process11ProcessBaseE");
SYM(ti_version, "_ZTIN5mesos8internal14VersionProcessE");
SYM(ti_master, "_ZTIN5mesos8internal6master6MasterE");
SYM(ti_slave, "_ZTIN5mesos8internal5slave5SlaveE");
SYM(vt_master_info, "_ZTVN5mesos10MasterInfoE");
SYM(vt_launch, "_ZTVN5mesos8internal5slave24MesosContainerizerLaunchE");
SYM(vt_launch_flags,
    "_ZTVN5mesos8internal5slave24MesosContainerizerLaunch5FlagsE");
SYM(ti_cni_setup_flags,
    "_ZTIN5mesos8internal5slave23NetworkCniIsolatorSetup5FlagsE");
SYM(vt_cni_setup, "_ZTVN5mesos8internal5slave23NetworkCniIsolatorSetupE");
SYM(vt_cni_setup_flags,
    "_ZTVN5mesos8internal5slave23NetworkCniIsolatorSetup5FlagsE");
SYM(vt_state, "_ZTVN5mesos5state8protobuf5StateE");
extern "C" void allocator_ctor(void*) asm(
    "_ZN5mesos8internal6master9allocator14MesosAllocatorINS2_28"
    "HierarchicalAllocatorProcessINS2_9DRFSorterES5_EEEC1Ev");
extern "C" void parse_acls(Try<mesos::ACLs>* out, const S& text) asm(
    "_ZN5flags5parseIN5mesos4ACLsEEE3TryIT_5ErrorERKNSt7__cxx1112basic_string"
    "IcSt11char_traitsIcESaIcEEE");
