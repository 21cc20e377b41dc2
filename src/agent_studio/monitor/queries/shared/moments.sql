-- When models responded from a moment on, and in which session.
SELECT at_ms, session_id
FROM newest
