/**
 * Says on the page what became of a security key that the browser was asked for. allauth's scripts ask it and send its
 * answer; without an answer there is nothing to send.
 */
const problems = [...document.querySelectorAll('#key-problems [data-problem]')];

function say(name) {
  const known = problems.some(({ dataset }) => dataset.problem === name);
  for (const problem of problems) problem.hidden = problem.dataset.problem !== (known ? name : '');
}

for (const form of document.querySelectorAll('form[data-asks-for-key]')) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    for (const problem of problems) problem.hidden = true;
  });
}

document.addEventListener('allauth.error', (event) => {
  event.preventDefault(); // it would be written to the console
  say(event.detail.exception.name);
});
