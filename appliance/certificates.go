package appliance

// certificateRenews tells whether the certificate is renewed by itself.
func (a *Appliance) certificateRenews() bool { return false }
