"""The notebooks as studies: every recorded change, the settings that repeat it, what was recorded and concluded."""
