// One program that plays the parts of the missing server binaries: the real master, the real agent
// and the real container launch helper all live in the published library, only their main()
// functions do not.

#include "common.hpp"
#include "docker.hpp"

static int master_main() {
  using namespace mesos::internal;
  auto* f = make<master::Flags>();
  load(f, ti_master_flags, "MESOS_", g_argc, g_argv, false);
  common("mesos-master", "master", "master", "5050");

  auto* alloc = static_cast<mesos::allocator::Allocator*>(calloc(1, 4096));
  allocator_ctor(alloc);

  Option<S> zk = opt("zk");
  S dir = opt("work_dir", ""), registry = opt("registry", "replicated_log");
  mesos::state::Storage* storage;
  if (registry == "in_memory") {
    storage = reinterpret_cast<mesos::state::Storage*>(
        make<mesos::state::InMemoryStorage>());
  } else {
    mkdirs(dir);
    mesos::log::Log* log;
    bool init = opt("log_auto_initialize", "true") != "false";
    if (zk.some()) {
      S rest = zk.t.substr(strlen("zk://"));
      size_t slash = rest.find('/');
      S hosts = rest.substr(0, slash), path = rest.substr(slash);
      log = make<mesos::log::Log>(
          atoi(opt("quorum", "1").c_str()), dir + "/replicated_log", hosts,
          session_timeout().t, path + "/log_replicas",
          Option<zookeeper::Authentication>(), init, Option<S>("registrar/"));
    } else {
      log = make<mesos::log::Log>(1, dir + "/replicated_log",
                                  std::set<process::UPID>(), init,
                                  Option<S>("registrar/"));
    }
    storage = reinterpret_cast<mesos::state::Storage*>(
        make<mesos::state::LogStorage>(log, 0ul));
  }

  auto* state = static_cast<mesos::state::State*>(calloc(1, 4096));
  state->vptr = vt_state + 16;
  state->storage = storage;
  auto* registrar = make<master::Registrar>(
      *f, state, Option<S>("mesos-master-readonly"));

  auto* contender = mesos::master::contender::MasterContender::create(
      zk, opt("master_contender"), session_timeout()).get("contender");
  auto* detector = mesos::master::detector::MasterDetector::create(
      zk, opt("master_detector"), session_timeout()).get("detector");

  Option<mesos::Authorizer*> auth = authorizer();
  auto* files = make<Files>(Option<S>("mesos-master-readonly"), auth);
  auto* m = make<master::Master>(
      alloc, registrar, files, contender, detector, auth,
      Option<std::shared_ptr<process::RateLimiter>>(), *f);

  if (!zk.some() && !opt("master_detector").some()) {
    // Nobody to elect with: appoint ourselves.  The description of this
    // master is the first message of its type inside the object.
    void** word = reinterpret_cast<void**>(m);
    void** end = word + (1 << 16) / sizeof(void*);
    while (word < end && *word != vt_master_info + 16) word++;
    if (word == end) { fprintf(stderr, "no master info\n"); return 1; }
    auto* info = make<Option<mesos::MasterInfo>>();
    new (&info->t) mesos::MasterInfo(
        *reinterpret_cast<mesos::MasterInfo*>(word));
    info->state = 0;
    reinterpret_cast<mesos::master::detector::StandaloneMasterDetector*>(
        detector)->appoint(*info);
  }
  run(m, ti_master);
  _exit(0);
}

static int agent_main() {
  using namespace mesos::internal;
  auto* f = make<slave::Flags>();
  load(f, ti_slave_flags, "MESOS_", g_argc, g_argv, false);
  S id = process::ID::generate("slave");
  common("mesos-agent", id, "agent", "5051");
  Option<S> modules = opt("modules_dir");
  if (modules.some()) mesos::modules::ModuleManager::load(modules.t);

  auto* fetcher = make<slave::Fetcher>(*f);
  auto* gc = make<slave::GarbageCollector>(opt("work_dir", ""));
  auto* resolver =
      mesos::SecretResolver::create(opt("secret_resolver")).get("resolver");
  mesos::SecretGenerator* generator = nullptr;
  Option<S> key = opt("jwt_secret_key");
  if (key.some()) {
    S path = key.t.compare(0, 7, "file://") ? key.t : key.t.substr(7);
    generator = reinterpret_cast<mesos::SecretGenerator*>(
        make<mesos::authentication::executor::JWTSecretGenerator>(
            contents(path)));
  }
  auto* pending = make<PendingFutureTrackerProcess>();
  process::spawn(pending, false);
  auto* tracker = make<PendingFutureTracker>();
  tracker->process.data.reset(
      new process::Owned<PendingFutureTrackerProcess>::Data{pending});
  auto* containerizer = slave::Containerizer::create(
      *f, false, fetcher, gc, resolver, nullptr, tracker SINCE_11(, nullptr))
      .get("containerizer");
  auto* detector = mesos::master::detector::MasterDetector::create(
      opt("master"), opt("master_detector"), session_timeout())
      .get("detector");
  Option<mesos::Authorizer*> auth = authorizer();
  auto* files = make<Files>(Option<S>("mesos-agent-readonly"), auth);
  auto* updates = make<slave::TaskStatusUpdateManager>(*f);
  auto* estimator = mesos::slave::ResourceEstimator::create(
      opt("resource_estimator")).get("estimator");
  auto* qos = mesos::slave::QoSController::create(opt("qos_controller"))
      .get("qos");
  auto* s = make<slave::Slave>(
      id, *f, detector, containerizer, files, gc, updates, estimator, qos,
      generator, nullptr, tracker,
      SINCE_11(process::Owned<slave::CSIServer>(),)
      SINCE_10(Option<process::network::internal::Socket<
          process::network::unix::Address>>(),)
      auth);
  run(s, ti_slave);
  _exit(0);
}

// With an image the agent has /proc/sysrq-trigger made read-only. Kernels of
// small virtual machines have none; another file is taken then.
static void without_sysrq() {
  const char* name = "MESOS_CONTAINERIZER_LAUNCH_INFO";
  const char* absent = "/proc/sysrq-trigger";
  const char* info = getenv(name);
  if (!info || access(absent, F_OK) == 0) return;
  S text = info;
  for (size_t at; (at = text.find(absent)) != S::npos;)
    text.replace(at, strlen(absent), "/proc/version");
  setenv(name, text.c_str(), 1);
}

// A helper that the agent starts for containers: ``Helper`` with its tables,
// after its name on the command line.
template <class Helper>
static int helper_main(char* table, char* flags_table, char* flags_type,
                       int argc, char** argv) {
  char* self = static_cast<char*>(calloc(1, 1 << 16));
  *reinterpret_cast<char**>(self) = table + 16;
  // Where the flags lie inside the object: its own accessor (fourth entry of
  // the table) gives the address of their base, the flags' table how far that
  // base is from their start.
  typedef char* (*Accessor)(void*);
  auto accessor = reinterpret_cast<Accessor*>(table + 16)[3];
  long base = *reinterpret_cast<long*>(flags_table);
  void* f = accessor(self) - base;
  new (f) typename Helper::Flags();
  load(f, flags_type, "MESOS_CONTAINERIZER_", argc - 1, argv + 1, false);
  return reinterpret_cast<Helper*>(self)->execute();
}

// The helper that feeds and copies the terminal of an attachable container.
static int switchboard_main() {
  using mesos::internal::slave::IOSwitchboardServer;
  // A termination request is waited for by a thread of its own, so every
  // other thread, the library's too, starts with it blocked.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  auto number = [](const char* name) { return atoi(opt(name, "-1").c_str()); };
  auto flag = [](const char* name) { return opt(name, "false") == "true"; };
  Option<S> beat = opt("heartbeat_interval");
  auto owned = IOSwitchboardServer::create(
      flag("tty"), number("stdin_to_fd"), number("stdout_from_fd"),
      number("stdout_to_fd"), number("stderr_from_fd"),
      number("stderr_to_fd"), opt("socket_address", ""),
      flag("wait_for_connection"),
      beat.some() ? Option<Duration>(duration(beat.t)) : Option<Duration>())
      .get("switchboard");
  auto* server = owned.data->t;
  std::thread([server, set] {
    int sig;
    sigwait(&set, &sig);
    server->unblock().await(Duration{-1000000000});
  }).detach();
  server->run().await(Duration{-1000000000});
  _exit(0);
}

int main(int argc, char** argv) {
  const char* me = strrchr(argv[0], '/');
  S name = me ? me + 1 : argv[0];
  g_argc = argc;
  g_argv = argv;
  if (name == "mesos-master") return master_main();
  if (name == "mesos-agent") return agent_main();
  S part = name == "mesos-containerizer" && argc > 1 ? argv[1] : "";
  if (part == "launch") without_sysrq();
  if (part == "launch")
    return helper_main<mesos::internal::slave::MesosContainerizerLaunch>(
        vt_launch, vt_launch_flags, ti_launch_flags, argc, argv);
  if (part == "network-cni-setup")  // names and addresses of hosts in an image
    return helper_main<mesos::internal::slave::NetworkCniIsolatorSetup>(
        vt_cni_setup, vt_cni_setup_flags, ti_cni_setup_flags, argc, argv);
  if (name == "mesos-io-switchboard") return switchboard_main();
  if (name == "mesos-docker" && argc > 1) return docker_main(argv[1]);
  fprintf(stderr, "call me as mesos-master, mesos-agent, mesos-io-switchboard,"
                  " mesos-containerizer launch or network-cni-setup,"
                  " mesos-docker run or stop\n");
  return 2;
}
