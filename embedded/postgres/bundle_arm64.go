package postgres

import "embed"

// archives holds the lock file always, and the archive with its checksum when they were
// fetched before the build.
//
//go:embed bundle/postgres-linux-arm64*
var archives embed.FS
