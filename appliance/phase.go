package appliance

// Phase says what the appliance is at while nobody can sign in yet. It is empty once
// people can, and at a node without people once its workflows run.
func (a *Appliance) Phase() string {
	if p := a.phase.Load(); p != nil {
		return *p
	}
	return "not started"
}

func (a *Appliance) enter(phase string) { a.phase.Store(&phase) }

// advance is enter as the progress of a long step tells it.
func (a *Appliance) advance(stage string, percent int) {
	if percent < 100 {
		a.enter(stage)
	}
}
