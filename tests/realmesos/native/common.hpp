// Flags, files and the steps that the master and the agent have in common.
#pragma once

#include "library.hpp"

template <class T, class... A> T* make(A&&... a) {
  void* p = calloc(1, 1 << 16);
  return new (p) T(std::forward<A>(a)...);
}

template <class To> To* up(void* obj, char* from, char* to) {
  auto f = reinterpret_cast<const std::type_info*>(from);
  auto t = reinterpret_cast<const abi::__class_type_info*>(to);
  if (!f->__do_upcast(t, &obj)) {
    fprintf(stderr, "%s is not a %s\n", f->name(),
            reinterpret_cast<const std::type_info*>(to)->name());
    exit(1);
  }
  return static_cast<To*>(obj);
}

static int g_argc;
static char** g_argv;

// A flag from the command line, else from the environment, else nothing.
static Option<S> opt(const char* name) {
  S key = S("--") + name + "=", env = "MESOS_";
  for (int i = 1; i < g_argc; i++)
    if (!strncmp(g_argv[i], key.c_str(), key.size()))
      return S(g_argv[i] + key.size());
  for (const char* c = name; *c; c++) env += static_cast<char>(toupper(*c));
  if (const char* v = getenv(env.c_str())) return S(v);
  return {};
}

static S opt(const char* name, const char* otherwise) {
  Option<S> v = opt(name);
  return v.some() ? v.t : S(otherwise);
}

static S contents(const S& path) {
  S out;
  char buf[65536];
  FILE* f = fopen(path.c_str(), "r");
  if (!f) { perror(path.c_str()); exit(1); }
  for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;) out.append(buf, n);
  fclose(f);
  return out;
}

static void mkdirs(const S& path) {
  for (size_t i = 1; i <= path.size(); i++)
    if (i == path.size() || path[i] == '/')
      mkdir(path.substr(0, i).c_str(), 0755);
}

static void load(void* obj, char* type, const char* prefix, int argc,
                 char** argv, bool unknowns) {
  auto* base = up<flags::FlagsBase>(obj, type, ti_flagsbase);
  for (int i = 1; i < argc; i++)
    if (!strcmp(argv[i], "--help")) {
      puts(base->usage({}).c_str());
      exit(0);
    }
  base->load(S(prefix), argc, argv, unknowns, false).get("flags");
}

// What mesos-master and mesos-agent do between flags and first component.
static void common(const char* name, const S& id, const char* realm,
                   const char* port) {
  Option<mesos::internal::logging::Flags> log;
  new (&log.t) mesos::internal::logging::Flags();
  log.state = 0;
  load(&log.t, ti_logging_flags, "MESOS_", g_argc, g_argv, true);
  mesos::internal::logging::initialize(name, true, log);
  log.state = 1;  // never destroyed

  const char* pairs[][2] = {{"ip", "LIBPROCESS_IP"},
                            {"advertise_ip", "LIBPROCESS_ADVERTISE_IP"},
                            {"advertise_port", "LIBPROCESS_ADVERTISE_PORT"}};
  for (auto& p : pairs) {
    Option<S> v = opt(p[0]);
    if (v.some()) setenv(p[1], v.t.c_str(), 1);
  }
  setenv("LIBPROCESS_PORT", opt("port", port).c_str(), 1);
  process::initialize(id, S("mesos-") + realm + "-readwrite",
                      S("mesos-") + realm + "-readonly");
  process::spawn(up<process::ProcessBase>(make<mesos::internal::VersionProcess>(),
                                          ti_version, ti_process), true);
}

static Option<mesos::Authorizer*> authorizer() {
  Option<S> text = opt("acls");
  if (!text.some()) return {};
  S json = text.t;
  if (json.compare(0, 7, "file://") == 0) json = contents(json.substr(7));
  else if (json[0] == '/') json = contents(json);
  auto* parsed = static_cast<Try<mesos::ACLs>*>(calloc(1, 1 << 16));
  parse_acls(parsed, json);
  // The error part lies behind the real size of the message, so only the
  // state of the value is looked at.
  if (!parsed->data.some()) { fprintf(stderr, "bad --acls\n"); exit(1); }
  return mesos::Authorizer::create(parsed->data.t).get("authorizer");
}

static Duration duration(const S& text) {
  char* unit;
  double n = strtod(text.c_str(), &unit);
  double scale = !strcmp(unit, "ms") ? 1e6 : !strcmp(unit, "mins") ? 6e10 : 1e9;
  return Duration{int64_t(n * scale)};
}

static Option<Duration> session_timeout() {
  return duration(opt("zk_session_timeout", "10secs"));
}

static void run(void* obj, char* type) {
  auto* p = up<process::ProcessBase>(obj, type, ti_process);
  process::UPID pid(*p);
  process::spawn(p, false);
  process::wait(pid, Duration{-1000000000});  // negative: for ever
}
