package pvesim

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// formatSize writes bytes as disk options hold them: the largest unit that divides the size.
func formatSize(bytes int64) string {
	for _, unit := range []string{"", "K", "M", "G"} {
		if bytes%1024 != 0 || bytes == 0 {
			return strconv.FormatInt(bytes, 10) + unit
		}
		bytes /= 1024
	}
	return strconv.FormatInt(bytes, 10) + "T"
}

// parseSize reads bytes, or a number with unit K, M, G or T. Zero when it is neither.
func parseSize(text string) int64 {
	units := map[byte]float64{'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40}
	factor := 1.0
	if text != "" {
		if f, ok := units[text[len(text)-1]]; ok {
			factor, text = f, text[:len(text)-1]
		}
	}
	n, err := strconv.ParseFloat(strings.TrimPrefix(text, "+"), 64)
	if err != nil {
		return 0
	}
	return int64(math.Ceil(n * factor))
}

// readableSize is a size as task logs show it.
func readableSize(bytes int64) string {
	size := float64(bytes)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if size < 1024 {
			return fmt.Sprintf("%.1f %s", size, unit)
		}
		size /= 1024
	}
	return fmt.Sprintf("%.1f TiB", size)
}
