"""What comes back: from a sandbox into the working directory, whole or not at all."""
