package temporal

import "encoding/pem"

// Access is what another process on this machine needs to use the embedded server. It is
// a secret, and of another value after each start.
type Access struct {
	Address    string
	ServerName string
	CAPEM      []byte
	APIKey     string
}

// Access returns the way to the server that runs, or nothing.
func (s *Server) Access() Access {
	r := s.current()
	if r == nil {
		return Access{}
	}
	n, err := r.state()
	if err != nil || n.guard == nil {
		return Access{}
	}
	return Access{
		Address: n.address, ServerName: internalName, APIKey: n.secret,
		CAPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.guard.cert.Certificate[0]}),
	}
}
