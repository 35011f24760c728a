package main

import (
	"strings"
	"testing"
)

func TestReadConfig(t *testing.T) {
	read := func(values map[string]string) (config, error) {
		return readConfig(func(name string) string { return values[name] })
	}
	given, err := read(map[string]string{"PORT": "9000", "HOSTNAME": "pod-1", "HELLO_TAG": "abc"})
	if want := (config{port: 9000, host: "pod-1", tag: "abc"}); err != nil || given != want {
		t.Errorf("%+v, %v", given, err)
	}
	bare, err := read(nil)
	if err != nil || bare.port != 8080 || bare.host == "" || bare.tag != "unknown" {
		t.Errorf("%+v, %v", bare, err)
	}
	for _, port := range []string{"http", "0", "65536", "80 "} {
		if _, err := read(map[string]string{"PORT": port}); err == nil || !strings.Contains(err.Error(), "PORT") {
			t.Errorf("PORT=%q: %v", port, err)
		}
	}
}
