package transfer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
)

// end closes the rows of a table in a file.
const end = `\.` + "\n"

// Write writes every table with a row, as COPY text that Read understands.
func Write(ctx context.Context, conn *pgx.Conn, w io.Writer) error {
	return reading(ctx, conn, func(tx pgx.Tx) error {
		all, err := relations(ctx, tx, "")
		if err != nil {
			return err
		}
		for _, r := range all {
			var rows bytes.Buffer
			if err := copyOut(ctx, tx, r, &rows); err != nil {
				return err
			}
			if rows.Len() == 0 {
				continue
			}
			if _, err := fmt.Fprintf(w, "copy\t%s\t%s\t%s\n%s%s", r.Schema, r.Name, r.Columns, rows.Bytes(), end); err != nil {
				return err
			}
		}
		return nil
	})
}

// Read replaces the rows of a database by those of a file. It is for small ones.
func Read(ctx context.Context, conn *pgx.Conn, file io.Reader) error {
	return filling(ctx, conn, "", func(tx pgx.Tx, _ []relation) error {
		for in := bufio.NewReader(file); ; {
			head, err := in.ReadString('\n')
			if errors.Is(err, io.EOF) && head == "" {
				return nil
			}
			parts := strings.Split(strings.TrimSuffix(head, "\n"), "\t")
			if err != nil || len(parts) != 4 || parts[0] != "copy" {
				return errors.Join(err, fmt.Errorf("no table begins with %.40q", head))
			}
			rows, err := section(in)
			if err != nil {
				return err
			}
			r := relation{Schema: parts[1], Name: parts[2], Columns: parts[3]}
			if err := copyIn(ctx, tx, r, rows); err != nil {
				return fmt.Errorf("%s: %w", r, err)
			}
		}
	})
}

func section(in *bufio.Reader) (io.Reader, error) {
	var rows bytes.Buffer
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("a table has no end: %w", err)
		}
		if line == end {
			return &rows, nil
		}
		rows.WriteString(line)
	}
}
