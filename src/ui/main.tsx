// The dashboard's beginning: index.html loads it.
// Called by the browser. Promises: draws the page into #app; needs nothing but the admin API of its own origin.
import { render } from 'preact';
import { App } from './app.tsx';
import { followTheme } from './theme.ts';

followTheme();
const place = document.getElementById('app');
if (place !== null) render(<App />, place);
