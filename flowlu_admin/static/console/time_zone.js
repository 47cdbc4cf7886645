/** Offers the browser's own time zone. The page works without it. */
const offer = document.getElementById('browser-zone');
const choice = document.querySelector('select[name="zone"]');
const { timeZone } = Intl.DateTimeFormat().resolvedOptions();

if (offer && choice && choice.value !== timeZone && [...choice.options].some(({ value }) => value === timeZone)) {
  offer.querySelector('[data-zone]').textContent = timeZone;
  offer.querySelector('button').addEventListener('click', () => {
    choice.value = timeZone;
    choice.focus();
    offer.hidden = true;
  });
  offer.hidden = false;
}
