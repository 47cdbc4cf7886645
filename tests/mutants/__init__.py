"""Small changes of the code that decides, made by the hundred: for each a test has to fail, or a reason stands here."""
