"""What people look at while a job runs: pieces of files, and files that grow."""
