//go:build no_ui

// Package ui is left out of this binary by the build tag no_ui.
package ui

import (
	"embed"
	"io/fs"
)

// FS returns an empty file system: this binary serves no interface.
func FS() fs.FS { return embed.FS{} }
