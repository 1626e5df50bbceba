// Package deploy tests the files of deploy/ and docker-compose.yml against the program:
// alerts, dashboards, compose, Kubernetes and systemd.
package deploy
