// Stands in for NVIDIA's management library (libnvidia-ml.so.1): what a Mesos agent asks it for, answered for
// as many GPUs as the variable STANDIN_GPUS tells.
#include <stdio.h>
#include <stdlib.h>

int nvmlInit_v2(void) { return 0; }

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
  snprintf(version, length, "535.0");
  return 0;
}

int nvmlDeviceGetCount(unsigned *count) {
  const char *told = getenv("STANDIN_GPUS");
  *count = told ? (unsigned)atoi(told) : 0;
  return 0;
}

int nvmlDeviceGetHandleByIndex(unsigned index, void **device) {
  *device = (void *)(unsigned long)(index + 1);
  return 0;
}

int nvmlDeviceGetMinorNumber(void *device, unsigned *number) {
  *number = (unsigned)(unsigned long)device - 1;
  return 0;
}

const char *nvmlErrorString(int error) {
  (void)error;
  return "stand-in";
}
