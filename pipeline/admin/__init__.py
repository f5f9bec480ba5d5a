"""For whoever looks after the service's database: works on it directly, with the service running or not."""
