// Package manifests tests docker-compose.yml and deploy/kubernetes with the libraries that
// Compose and Kubernetes themselves use. It is a module of its own, so that users of
// codeferry do not depend on these.
package manifests
