"""Topics and bytes over MQTT; what the bytes mean is not known here."""
