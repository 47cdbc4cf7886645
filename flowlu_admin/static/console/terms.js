/**
 * Words that explain themselves: a press opens what one means, and Escape closes it, without this. Here it also opens where
 * it is pointed at or has come by the keyboard, stays while it or its word is pointed at, and goes when both are left.
 */
const WAIT = 200; // milliseconds: long enough to cross from the word to what it says, and to pass a word by

let pointed = null;
let waiting;

function termOf(target) {
  return target instanceof Element ? target.closest('.term') : null;
}

function open(term) {
  const button = term.querySelector('button');
  term.querySelector('[popover]').showPopover({ source: button });
}

function closeBut(term) {
  for (const meaning of document.querySelectorAll('.term > :popover-open')) {
    const kept = meaning.parentElement === term || meaning.parentElement.matches(':has(button:focus-visible)');
    if (!kept) meaning.hidePopover();
  }
}

document.addEventListener('pointerover', ({ target, pointerType }) => {
  if (pointerType === 'touch' || termOf(target) === pointed) return;
  pointed = termOf(target);
  clearTimeout(waiting);
  const term = pointed;
  waiting = setTimeout(() => (term ? open(term) : closeBut(null)), WAIT);
});

document.addEventListener('focusin', ({ target }) => {
  const term = termOf(target);
  if (term && target.matches(':focus-visible')) open(term);
  else closeBut(term);
});
