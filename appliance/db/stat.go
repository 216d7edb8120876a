package db

// Stat is how busy the application's pool is.
type Stat struct{ Max, Used, Open int }

// Stat counts the connections of the application's pool.
func (d *DB) Stat() Stat {
	p := d.app
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stat{Max: len(p.places)}
	for _, at := range p.places {
		if at.busy {
			s.Used++
		}
		s.Open += int(at.pool.Stat().TotalConns())
	}
	return s
}
