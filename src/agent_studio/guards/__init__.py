"""Decision hooks: may this go on, what should be added. A native client asks the daemon, else a cold process."""
