"""The configuration files that `init` writes when they are missing."""

from __future__ import annotations

BASE = """\
# Agent Studio: configuration of all environments.
# `agent-studio config show` lists every key with its value and where it comes from.
#
# Production takes these values as they are. Staging doubles the four limits below unless
# config.staging.yaml writes one, and turns every feature on. Development has no limits.

monitoring:
  enabled: true
  thresholds:
    hookExecutionTimeMs: 10    # p95 of one hook, ms
    hookFailureRate: 5         # per cent
    agentFailureRate: 3        # per cent
    errorRatePerHour: 10       # severity MEDIUM and above
    tokenBudgetPerDay: 100000  # input + output + cache writes
  retention:
    metricsDays: 30
    errorsDays: 90

features:
  partyMode:
    enabled: true
  advancedElicitation:
    enabled: false
  knowledgeBase:
    enabled: true
  costTracking:
    enabled: true
  sidecarMemory:
    enabled: true

# The project's own full test suite, when `agent-studio test` should not detect it:
# test:
#   command: pytest -q
"""

STAGING = """\
# Agent Studio: what staging has different. Everything else comes from config.yaml.
environment: staging

monitoring:
  verboseLogging: true
  dashboardRefreshMs: 5000
  # Limits are production's x 2 (20 ms, 10 %, 6 %, 20 an hour) unless written here:
  # thresholds:
  #   hookExecutionTimeMs: 20

# All features are on in staging.
features:
  partyMode:
    enabled: true
  advancedElicitation:
    enabled: true
  knowledgeBase:
    enabled: true
  costTracking:
    enabled: true
  sidecarMemory:
    enabled: true

testData:
  enabled: true
  seedData: true
  artifactsCount: 1133  # rows of the seeded index; generated ones fill up what the project lacks
"""
