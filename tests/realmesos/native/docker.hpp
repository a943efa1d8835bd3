// The part of mesos-docker-executor that makes docker's command lines: Mesos' own, from the same
// messages. The rest of the executor is programs/docker_executor.py.
#pragma once

#include "common.hpp"

// A function that returns an object of the library gets the place for it as its first argument.
extern "C" {
void docker_create(void* made, const S& path, const S& socket, bool validate,
                   const void* config)
    asm("_ZN6Docker6createERKNSt7__cxx1112basic_stringIcSt11char_traitsIcE"
        "SaIcEEES7_bRK6OptionIN4JSON6ObjectEE");
void docker_options(void* made, const void* container, const void* command,
                    const S& name, const S& sandbox, const S& mapped,
                    const void* resources, bool enforce_quota,
                    const void* environment, const void* devices,
                    const void* dns, const void* limits)
    asm("_ZN6Docker10RunOptions6createERKN5mesos13ContainerInfoERKNS1_11Comma"
        "ndInfoERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEESF_SF_RK"
        "6OptionINS1_9ResourcesEEbRKSG_ISt3mapISD_SD_St4lessISD_ESaISt4pairISE"
        "_SD_EEEERKSG_ISt6vectorINS_6DeviceESaISW_EEERKSG_INS1_8internal16Cont"
        "ainerDNSInfoEE"  // before 1.10 there were no limits
        SINCE_10("RKSG_IN6google8protobuf3MapISD_NS1_12Value_ScalarEEEE"));
void docker_run(void* future, const void* docker, const void* options,
                const void* out, const void* err)
    asm("_ZNK6Docker3runERKNS_10RunOptionsERKN7process10Subprocess2IOES7_");
void docker_stop(void* future, const void* docker, const S& name,
                 const Duration& grace, bool remove)
    asm("_ZNK6Docker4stopERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIc"
        "EEERK8Durationb");
void inherited(void* io, int fd, int kind)
    asm("_ZN7process10Subprocess2FDEiNS0_2IO6FDTypeE");
void resources_of(void* made, const S& text, const S& role)
    asm("_ZN5mesos9Resources5parseERKNSt7__cxx1112basic_stringIcSt11char_trait"
        "sIcESaIcEEES8_");
void message_of(void* status, const S& json, void* message, const void* options)
    asm("_ZN6google8protobuf4util19JsonStringToMessageERKNSt7__cxx1112basic_st"
        "ringIcSt11char_traitsIcESaIcEEEPNS0_7MessageERKNS1_16JsonParseOptions"
        "E");
void container_ctor(void*) asm("_ZN5mesos13ContainerInfoC1Ev");
void command_ctor(void*) asm("_ZN5mesos11CommandInfoC1Ev");
bool exit_future_wait(void* future, const Duration&)
    asm("_ZNK7process6FutureI6OptionIiEE5awaitERK8Duration");
const Option<int>* exit_future_get(void* future)
    asm("_ZNK7process6FutureI6OptionIiEE3getEv");
bool nothing_future_wait(void* future, const Duration&)
    asm("_ZNK7process6FutureI7NothingE5awaitERK8Duration");
}

static void* room() { return calloc(1, 1 << 16); }

// An Option or Try without a value, or a call's answer that has to have one.
static void* none() {
  void* made = room();
  *static_cast<int*>(made) = 1;
  return made;
}

static char* value(void* made, const char* what) {
  if (*static_cast<int*>(made) != 0) {
    fprintf(stderr, "Docker takes no such %s\n", what);
    exit(125);
  }
  return static_cast<char*>(made) + 8;
}

static void* message(void (*constructor)(void*), const char* flag) {
  void *made = room(), *status = room();
  constructor(made);
  bool strict = false;
  message_of(status, opt(flag, "{}"), made, &strict);
  if (*static_cast<int*>(status) != 0) {
    fprintf(stderr, "--%s is no such message\n", flag);
    exit(125);
  }
  return made;
}

// mesos-docker run|stop: ends as the container does.
static int docker_main(const S& part) {
  setenv("LIBPROCESS_PORT", "0", 1);
  process::initialize({}, {}, {});
  const Duration ever{-1000000000};
  void *created = room(), *future = room();
  docker_create(created, opt("docker", "docker"), opt("docker_socket", ""),
                false, none());
  auto* owned = reinterpret_cast<process::Owned<void>*>(value(created, "path"));
  const void* docker = owned->data->t;
  if (part == "stop") {
    docker_stop(future, docker, opt("container", ""),
                Duration{atoll(opt("grace_nanoseconds", "0").c_str())}, false);
    nothing_future_wait(future, ever);
    _exit(0);
  }
  void *options = room(), *resources = room(), *out = room(), *err = room();
  resources_of(resources, opt("resources", ""), "*");
  value(resources, "resources");
  docker_options(options, message(container_ctor, "container_info"),
                 message(command_ctor, "command_info"), opt("container", ""),
                 opt("sandbox_directory", ""), opt("mapped_directory", ""),
                 resources, opt("cgroups_enable_cfs", "false") == "true",
                 none(), none(), none(), none());
  inherited(out, 1, 0);
  inherited(err, 2, 0);
  docker_run(future, docker, value(options, "container"), out, err);
  exit_future_wait(future, ever);
  const Option<int>* status = exit_future_get(future);
  int code = status->some() ? status->t : 125 << 8;
  _exit(WIFEXITED(code) ? WEXITSTATUS(code) : 128 + WTERMSIG(code));
}
