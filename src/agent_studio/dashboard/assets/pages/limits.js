// What the rules of limits are called.

const NAMES = {
  hookExecutionTimeMs: "Hook time, p95",
  hookFailureRate: "Hooks that failed",
  hookFailureBurst: "Hooks that failed in the last hour",
  agentFailureRate: "Agents that failed",
  agentFailureBurst: "Agents that failed in the last hour",
  errorRatePerHour: "Errors in the last hour",
  tokenBudgetPerDay: "Tokens today",
  budget: "Budget",
  silence: "Silence",
  ingest: "Ingest",
  ledger: "Ledger",
  flagRollout: "Gradual rollout halted",
};

export function nameOf(rule) {
  return NAMES[rule] ?? rule;
}
