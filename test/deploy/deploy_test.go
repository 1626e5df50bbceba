package deploy

// root is the root of the repository.
const root = "../.."
