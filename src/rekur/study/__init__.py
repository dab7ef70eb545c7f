"""Study: pictures and reports of what was trained."""
