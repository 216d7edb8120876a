package pocketbase

import (
	"net"
	"net/http"
	"strings"
)

// ours are the prefixes of the handler that SetHandler sets.
var ours = []string{"/v1", "/graphql", "/scim/v2", "/socket.io", "/healthz", "/readyz", "/metrics"}

// route tells our API, PocketBase's console and the user interface apart.
func (s *Server) route(console http.Handler) http.Handler {
	files := newFiles(s.cfg.Static)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.secure(w)
		switch {
		case under(r.URL.Path, ours...):
			(*s.handler.Load()).ServeHTTP(w, r)
		case under(r.URL.Path, "/api", "/_"):
			if !fromHere(r) {
				http.NotFound(w, r)
				return
			}
			w.Header().Del("Content-Security-Policy")
			console.ServeHTTP(w, r)
		default:
			files.ServeHTTP(w, r)
		}
	})
}

func under(path string, prefixes ...string) bool {
	for _, p := range prefixes {
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}

// fromHere tells requests of this machine by the address of the connection;
// headers are not believed.
func fromHere(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// policy lets pages load only what this server serves. Styles in attributes
// are what Angular components and the code editor need.
const policy = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; " +
	"connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"

func (s *Server) secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
	if pair := s.cert.current.Load(); pair != nil && !selfSigned(pair.Leaf) {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}
