"""The command line that Airavata types: sbatch, squeue, scancel, sacct, sinfo."""
