package fault

import "strings"

// reasons are why a connection failed, as libraries write it: what they wrap does
// not always reach us as a type.
var reasons = []struct{ text, sentence string }{
	{"x509: certificate signed by unknown authority", "Nobody whom we trust vouches for its certificate. Name the authority's certificate in the settings."},
	{"x509: certificate is valid for", "Its certificate is for another name than its address."},
	{"x509: certificate is not valid for any names", "Its certificate names no address at all."},
	{"x509: cannot validate certificate for", "Its certificate does not name its address."},
	{"certificate has expired or is not yet valid", "Its certificate has expired or is not valid yet. Look at both clocks too."},
	{"tls: certificate required", "It wants a certificate of ours."},
	{"tls: bad certificate", "It does not accept our certificate."},
	{"tls: unknown certificate authority", "It does not accept our certificate: it does not know who gave it."},
	{"tls: expired certificate", "It does not accept our certificate, which has expired."},
	{"first record does not look like a TLS handshake", "It does not speak TLS there."},
	{"server refused TLS connection", "It does not speak TLS. Turn TLS on at the server."},
	{"malformed HTTP response", "It speaks TLS. Turn TLS on in the settings."},
	{"error reading server preface", "It ended the connection. Does it speak TLS, or want a certificate of ours?"},
	{"WRONGPASS", "It refuses the password."},
	{"NOAUTH", "It wants a password."},
	{"28P01", "It refuses the password."},
	{"28000", "It refuses the login."},
	{"Request unauthorized", "It refuses our API key."},
	{"PermissionDenied", "It refuses our credentials."},
	{"Unauthenticated", "It refuses our credentials."},
	{"no such host", "There is no machine of that name."},
	{"connection refused", "Nothing listens there."},
	{"i/o timeout", "It does not answer."},
	{"deadline exceeded", "It does not answer."},
}

// Connection is a sentence about why a server cannot be used; empty when it is not
// one of the reasons that are known.
func Connection(err error) string {
	if err == nil {
		return ""
	}
	for _, r := range reasons {
		if strings.Contains(err.Error(), r.text) {
			return r.sentence
		}
	}
	return ""
}
