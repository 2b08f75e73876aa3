package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// YAML renders a config with every key, in the order of the sections; Load reads it back to the
// same config.
func (c Config) YAML() ([]byte, error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("render config: %w", err)
	}
	return text, nil
}

// Tree is the config by key, as its YAML has it, for other renderings.
func (c Config) Tree() (map[string]any, error) {
	text, err := c.YAML()
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("render config: %w", err)
	}
	return tree, nil
}

// Hash identifies what a run computes: a digest of the config without the settings that cannot
// change a result of a synchronous run (how many workers and cores, where the stream is, what is
// written beside the trace log, how often state is saved).
func (c Config) Hash() string {
	c.Engine = c.Engine.identity()
	c.Rollout.Workers, c.Rollout.Concurrency = 0, 0
	c.Stream = Stream{}
	c.Log = Log{}
	c.Checkpoint = Checkpoint{}
	text, err := c.YAML()
	if err != nil {
		panic(err) // a Config holds only what YAML can render
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// WithoutSecrets is the config as it may be written to disk: passwords and tokens are left out, and
// have to be given again to a resumed run.
func (c Config) WithoutSecrets() Config {
	c.Stream.Password, c.Stream.Token = "", ""
	return c
}
