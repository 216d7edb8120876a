//go:build !no_ui

// Package ui holds the browser interface: the Angular sources and, in the
// folder dist, what `npm run build` makes of them. Build with the tag no_ui to
// leave the interface out of the binary.
package ui

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var built embed.FS

// FS returns the built interface with index.html at its root. Beside each
// compressible file lies its Brotli form, named with an added .br. All
// names but index.html and the icons carry a hash of their content and may be
// cached for ever. When the interface was not built before the binary,
// index.html is missing.
func FS() fs.FS {
	dist, err := fs.Sub(built, "dist")
	if err != nil {
		panic("ui: the embedded folder dist has an invalid name: " + err.Error())
	}
	return dist
}
