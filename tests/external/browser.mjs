// Looks at the playground with a real browser: node browser.mjs http://127.0.0.1:8080/playground [SCREENSHOT.png]
// With CLIENTELE_PASSWORD set, it reads the page and the documentation, then signs in as admin, after a query without
// credentials has been refused. Every example must run. The page must load nothing from another server. After signing out,
// nothing of the session may stay in the browser.
import assert from 'node:assert/strict';
import { launch } from './chromium.mjs';

const [address, screenshot] = process.argv.slice(2);
if (!address) {
  console.error('usage: node browser.mjs URL [SCREENSHOT.png]');
  process.exit(2);
}

const browser = await launch();
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const origin = new URL(address).origin;
  const elsewhere = [];
  const complaints = [];
  page.on('request', (request) => {
    const { protocol, origin: asked } = new URL(request.url());
    if (protocol !== 'data:' && asked !== origin) elsewhere.push(request.url());
  });
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));

  // What may not leave must not be needed: everything but the server itself is out of reach.
  await page.route((url) => url.protocol !== 'data:' && url.origin !== origin, (route) => route.abort());
  await page.goto(address);
  assert.equal(await page.title(), 'clientele playground');
  assert.equal(await page.locator('h1').textContent(), 'clientele playground');

  const password = process.env.CLIENTELE_PASSWORD;
  if (password) {
    await page.getByRole('heading', { name: 'Start here' }).waitFor();
    if (screenshot) await page.screenshot({ path: screenshot.replace(/\.png$/, '-start.png') });
    await page.getByRole('link', { name: 'Schema' }).click();
    await page.locator('#told', { hasText: 'Sign in to read the schema.' }).waitFor();
    // Every page of the documentation, with every link in it.
    const documentation = await page.evaluate(() => [...document.querySelectorAll('article a')].map((link) => link.href));
    assert.ok(documentation.length > 0, 'no documentation');
    const reader = await browser.newPage();
    const read = new Set();
    for (const address of documentation) {
      const [file, anchor] = address.split('#');
      if (!file.includes('/assets/')) continue;
      if (!read.has(file)) {
        assert.equal((await reader.goto(file)).status(), 200, address);
        documentation.push(...await reader.evaluate(() => [...document.querySelectorAll('a')].map((link) => link.href)));
        read.add(file);
      }
      if (anchor) {
        if (reader.url() !== file) await reader.goto(file);
        assert.equal(await reader.locator(`[id="${anchor}"]`).count(), 1, address);
      }
    }
    await reader.close();
    console.log(`playground: ${read.size} pages of documentation`);
    // The description of the legacy API: its policy admits its style sheet.
    const description = await browser.newPage();
    const refused = [];
    description.on('console', (message) => refused.push(message.text()));
    assert.equal((await description.goto(`${origin}/api/docs`)).status(), 200);
    assert.ok(await description.locator('h2').count() > 16);
    assert.notEqual(await description.evaluate(() => getComputedStyle(document.body).maxWidth), 'none');
    assert.deepEqual(refused, []);
    await description.close();
    await page.fill('#name', 'admin');
    await page.fill('#secret', 'not the password');
    await page.click('#sign-in');
    await page.locator('#told', { hasText: 'These credentials are wrong' }).waitFor();
    // What the browser itself says of the two refusals is no complaint about the page.
    assert.equal(complaints.splice(0).filter((line) => !line.includes('401')).length, 0);
    if (screenshot) await page.screenshot({ path: screenshot.replace(/\.png$/, '-sign-in.png') });
    await page.fill('#secret', password);
    await page.click('#sign-in');
    await page.locator('#told', { hasText: 'Signed in as admin' }).waitFor();
  }

  const editor = page.locator('.graphiql-query-editor .CodeMirror');
  await editor.waitFor();
  const shown = page.locator('.result-window .CodeMirror');
  const tabs = page.locator('.graphiql-tab');
  const names = [
    'Newest', 'Page', 'Filter', 'Search', 'Create', 'ReplaceList', 'ExpectedVersion', 'UserErrors', 'CustomFields', 'Template',
    'Audit', 'ChangePassword',
  ];
  assert.deepEqual(await tabs.locator('.graphiql-tab-button').allTextContents(), names);
  // The examples refuse what they say that they refuse, and nothing else.
  const refused = { ExpectedVersion: ['VERSION_CONFLICT'], UserErrors: ['BLANK', 'NOT_AN_EMAIL_ADDRESS', 'BLANK'] };
  for (const [index, name] of names.entries()) {
    await tabs.nth(index).locator('.graphiql-tab-button').click();
    const document = new RegExp(`^(query|mutation) ${name}\\b`, 'm');
    const answered = page.waitForResponse((response) => document.test(response.request().postDataJSON()?.query ?? ''));
    const isRefusal = (message) => message.text().includes('status of 400');
    const reported = name === 'ChangePassword' && page.waitForEvent('console', isRefusal);
    await page.locator('.graphiql-execute-button').click();
    const answer = await (await answered).json();
    if (name === 'ChangePassword') {
      // It changes nothing without the variables that it asks for. The browser reports the status to the console.
      assert.equal(answer.errors[0].extensions.code, 'BAD_USER_INPUT');
      await reported;
      complaints.splice(complaints.findIndex((line) => line.includes('status of 400')), 1);
      continue;
    }
    assert.equal(answer.errors, undefined, `${name}: ${JSON.stringify(answer.errors)}`);
    const codes = Object.values(answer.data).flatMap((field) => field?.userErrors ?? []).map((error) => error.code);
    assert.deepEqual(codes, refused[name] ?? [], name);
    await page.waitForFunction(() => {
      const text = document.querySelector('.result-window .CodeMirror')?.CodeMirror?.getValue();
      return text?.includes('"data"');
    });
    if (screenshot && name === 'Create') await page.screenshot({ path: screenshot });
  }
  console.log(`playground: ${names.length} examples`);
  await page.locator('#schema').click();
  await page.getByText('Root Types').waitFor();
  if (screenshot) await page.screenshot({ path: screenshot.replace(/\.png$/, '-schema.png') });
  await page.getByRole('button', { name: 'Hide Documentation Explorer' }).click();

  // Typed by the keyboard, as a person would: the editor closes each brace by itself.
  await editor.click();
  await page.keyboard.press('Control+A');
  await page.keyboard.press('Delete');
  await page.keyboard.type('{ __typename ');
  // The editor reads what was typed a moment later, and shows that it has by renaming the tab.
  await page.locator('.graphiql-tab-button', { hasText: '<untitled>' }).waitFor();
  const answered = page.waitForResponse((response) => {
    return response.url() === `${origin}/graphql` && /__typename\s*\}\s*$/.test(response.request().postDataJSON()?.query ?? '');
  });
  await page.locator('.graphiql-execute-button').click();
  assert.equal((await answered).status(), 200);

  await page.waitForFunction(() => {
    const answer = document.querySelector('.result-window .CodeMirror')?.CodeMirror?.getValue() ?? '';
    return answer.includes('__typename');
  });
  const answer = JSON.parse(await shown.evaluate((element) => element.CodeMirror.getValue()));
  assert.equal(answer.data.__typename, 'Query');

  if (screenshot) {
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.screenshot({ path: screenshot.replace(/\.png$/, '-dark.png') });
    await page.emulateMedia({ colorScheme: 'light' });
  }

  if (password) {
    const kept = () => page.evaluate(() => ({ tab: { ...sessionStorage }, browser: { ...localStorage } }));
    await page.locator('.graphiql-editor-tool .graphiql-editor:not(.hidden) .CodeMirror').click();
    await page.keyboard.type('{ "name": "Bellweather"');
    await page.locator('.graphiql-execute-button').click();
    await page.waitForFunction(() => JSON.stringify({ ...sessionStorage }).includes('Bellweather'));
    const { tab, browser: outside } = await kept();
    assert.ok(Object.keys(tab).some((key) => key.startsWith('graphiql:')), 'the editor keeps its tabs somewhere else');
    assert.deepEqual(outside, {}, 'something outlives the tab');
    // Typed, and not written yet when the button is pressed.
    await page.keyboard.type(', "city": "Linden"');
    assert.deepEqual(complaints, [], 'the browser complained');
    const refused = page.waitForResponse((response) => response.status() === 401);
    await page.click('#sign-out');
    await page.locator('#sign:not(.in) #sign-in').waitFor();
    await refused;
    assert.deepEqual(await kept(), { tab: {}, browser: {} }, 'something stays after signing out');
    assert.equal(await page.locator('.CodeMirror').count(), 0, 'the editor is there for nobody');
    // The new page has asked whether anybody is signed in.
    assert.equal(complaints.splice(0).filter((line) => !line.includes('401')).length, 0);
  }

  assert.deepEqual(elsewhere, [], 'the page asked somebody else');
  assert.deepEqual(complaints, [], 'the browser complained');
  console.log('playground: shown, answered, forgotten after signing out, no request left the origin');
} finally {
  await browser.close();
}
