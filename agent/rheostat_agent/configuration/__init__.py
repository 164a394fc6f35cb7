"""What the user set, and where: command line, environment, the project's file, their own file; and OpenTelemetry's variables."""
