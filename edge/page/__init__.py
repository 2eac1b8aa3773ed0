"""The lane's page: what the daemon's socket tells, for a browser beside the road and for Prometheus."""
