// Uses examples/web as a person would, and asserts what this person sees.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { launch } from '../chromium.mjs';

const CLIENT = 'SEED00000007';

// Another writer, through the other API.
async function changeElsewhere({ address, authorization }, client) {
  const response = await fetch(`${address}/api/clients/${CLIENT}`, {
    method: 'PATCH',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({ client }),
  });
  assert.equal(response.status, 200, await response.text());
}

export async function drive(origin, server) {
  const { address, authorization, password } = server;
  server.addUser('teller', 'VIEW_CLIENT');
  server.seed(60);

  const browser = await launch();
  const page = await browser.newPage({ viewport: { width: 1100, height: 800 } });
  try {
    page.setDefaultTimeout(20_000);
    const complaints = [];
    page.on('console', (message) => {
      const type = message.type();
      if (['error', 'warning'].includes(type)) complaints.push(`console ${type}: ${message.text()}`);
    });
    page.on('pageerror', (error) => complaints.push(`uncaught: ${error.message}`));
    const documents = [];
    const elsewhere = [];
    // Only watched: while requests are intercepted, the browser asks the server for no permission of its CORS rules.
    page.on('request', (request) => {
      if (request.method() === 'POST') documents.push(request.postDataJSON());
      const { protocol, origin: asked } = new URL(request.url());
      if (protocol !== 'data:' && ![origin, address].includes(asked)) elsewhere.push(request.url());
    });

    const shown = (role, name) => page.getByRole(role, { name, exact: true }).waitFor();
    const field = (label) => page.getByLabel(label, { exact: true });
    const press = (name) => page.getByRole('button', { name, exact: true }).click();
    const follow = (name) => page.getByRole('link', { name, exact: true }).click();
    const term = (name) => page.locator('dt', { hasText: new RegExp(`^${name}$`) });
    const detail = (name) => term(name).locator('xpath=../dd').innerText();
    const section = (name) => page.locator('section', { has: page.getByRole('heading', { name }) }).innerText();
    const screenshot = async (name) => {
      const folder = process.env.SCREENSHOTS;
      if (folder) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
    };
    async function signIn(name, secret) {
      await field('Name').fill(name);
      await field('Password').fill(secret);
      await press('Sign in');
    }
    // What a screen reader says of a field: the text that aria-describedby names.
    async function said(label) {
      const input = field(label);
      assert.equal(await input.getAttribute('aria-invalid'), 'true', `${label} is not marked`);
      const id = await input.getAttribute('aria-describedby');
      return page.locator(`[id="${id}"]`).innerText();
    }

    // Sign in.
    await page.goto(origin);
    assert.equal(await page.title(), 'Clients');
    await signIn('admin', 'not the password');
    const refused = page.getByRole('alert');
    await refused.waitFor();
    assert.equal(await refused.innerText(), "The name or the password is wrong, or the user can't sign in.");
    await screenshot('sign-in');
    await signIn('admin', password);
    await page.getByText('Signed in as admin').waitFor();

    // Scroll through the list.
    const rows = page.locator('tbody th');
    await page.locator('caption', { hasText: /^60 clients$/ }).waitFor();
    assert.equal(await rows.count(), 25);
    await screenshot('list');
    const more = page.getByRole('button', { name: 'Load more clients' });
    for (const loaded of [50, 60]) {
      await more.scrollIntoViewIfNeeded();
      await rows.nth(loaded - 1).waitFor();
    }
    assert.equal(await more.count(), 0);
    assert.equal(new Set(await page.locator('tbody th + td').allInnerTexts()).size, 60);

    // Search.
    await field('Search by name, number or e-mail address').fill('client7');
    await page.locator('caption', { hasText: /^1 client$/ }).waitFor();
    assert.equal(await rows.count(), 1);
    await field('Search by name, number or e-mail address').fill('nobody of this name');
    await page.locator('caption', { hasText: /^0 clients$/ }).waitFor();
    await field('Search by name, number or e-mail address').fill('client7');
    await rows.first().waitFor();

    // One client.
    await rows.first().getByRole('link').click();
    await shown('link', 'Edit');
    const name = await page.locator('h1').innerText();
    assert.equal(await detail('ID'), CLIENT);
    assert.equal(await detail('E-mail address'), 'client7@example.test');
    assert.equal(await detail('Version'), '1');
    assert.match(await section('Address'), /Exampleton|Samplebury|Testford/);
    assert.match(await section('Identification documents'), /Passport/);
    assert.match(await section('Custom fields'), /Invented clients, Risk band: (LOW|MEDIUM|HIGH)/);
    assert.match(await section('Messages'), /None\./);
    assert.match(await section('History'), /None\./);
    await screenshot('client');

    // Mistakes are shown at their fields.
    await follow('Edit');
    await shown('heading', `Edit ${name}`);
    await field('First name').fill('');
    await field('E-mail address').fill('client7');
    await press('Add a document');
    const added = page.getByRole('group', { name: 'Document 3', exact: true });
    await added.getByLabel('Type').fill('Passport');
    await press('Save');
    await page.locator('[aria-invalid="true"]').first().waitFor();
    assert.equal(await said('First name'), 'firstName is required and must not be blank.');
    assert.equal(await said('E-mail address'), 'emailAddress must be an address of the form name@example.com.');
    const number = added.getByLabel('Number');
    assert.equal(await number.getAttribute('aria-invalid'), 'true');
    assert.match(await added.innerText(), /documentId is required and must not be blank\./);
    assert.equal(await page.locator('[aria-invalid="true"]').count(), 3);
    assert.equal(await page.evaluate(() => document.activeElement.name), 'client.firstName');
    await screenshot('user-errors');
    await field('First name').fill('Ines');
    await field('E-mail address').fill('ines@example.test');
    await number.fill('X1234567');
    await press('Save');
    await shown('link', 'Edit');
    assert.match(await page.locator('h1').innerText(), /^Ines /);
    assert.equal(await detail('Version'), '2');
    assert.match(await section('Identification documents'), /Passport X1234567/);
    assert.match(await section('History'), /CHANGED by admin/);

    // Somebody else stores a change meanwhile: one's own replaces it only where both have changed something.
    async function changeBoth(firstName) {
      await follow('Edit');
      await field('City').waitFor();
      await field('First name').fill(firstName);
      await field('City').fill('Newtown');
      await changeElsewhere(server, { firstName: 'Elsewhere', lastName: `Married ${firstName}` });
      await press('Save');
      await shown('heading', 'Somebody else has changed this client');
      return page.locator('.conflict tbody tr').allInnerTexts();
    }
    const lastName = name.split(' ').at(-1);
    assert.deepEqual(await changeBoth('Maria'), [
      'First name\tInes\tElsewhere\tMaria',
      `Last name\t${lastName}\tMarried Maria\tnot changed`,
    ]);
    await screenshot('conflict');
    await press('Store my changes');
    await shown('link', 'Edit');
    assert.match(await page.locator('h1').innerText(), /^Maria .*Married Maria$/);
    assert.match(await section('Address'), /Newtown/);
    assert.equal(await detail('Version'), '4');

    // Or the stored client is taken.
    await changeBoth('Lena');
    await press('Take the stored client');
    await page.locator('.conflict').waitFor({ state: 'detached' });
    assert.equal(await field('First name').inputValue(), 'Elsewhere');
    assert.equal(await field('Last name').inputValue(), 'Married Lena');
    await press('Save');
    await shown('link', 'Edit');
    assert.equal(await detail('Version'), '5');

    // The list knows what has changed.
    await follow('Clients');
    await page.locator('caption', { hasText: /^60 clients$/ }).waitFor();
    await field('Search by name, number or e-mail address').fill('Lena');
    await page.locator('caption', { hasText: /^1 client$/ }).waitFor();
    assert.match(await rows.first().innerText(), /^Elsewhere .*Married Lena$/);

    // Nobody sees what another user was shown, nor parts without their permission.
    const isSignOut = (response) => response.request().postDataJSON()?.operationName === 'SignOut';
    const signedOut = page.waitForResponse(isSignOut);
    await press('Sign out');
    assert.deepEqual((await (await signedOut).json()).data.signOut, { __typename: 'SignOutPayload', endedSessions: 1 });
    await signIn('teller', password);
    await page.getByText('Signed in as teller').waitFor();
    await rows.first().waitFor();
    await page.goto(`${origin}/#client=${CLIENT}`);
    await shown('heading', 'History');
    assert.match(await section('Messages'), /You lack a permission for this\. \(Request /);
    assert.match(await section('History'), /You lack a permission for this\. \(Request /);

    // An access token that the server refuses is replaced unseen, and the request repeated.
    const expire = (route) => {
      const headers = route.request().headers();
      if (headers.authorization) headers.authorization = 'Bearer cla_expired';
      return route.continue({ headers });
    };
    const operations = () => documents.map(({ operationName }) => operationName);
    await page.route(`${address}/graphql`, expire, { times: 1 });
    await follow('Edit');
    await field('First name').waitFor();
    assert.deepEqual(operations().slice(-3), ['EditClient', 'RefreshSession', 'EditClient']);

    // A session that was ended elsewhere begins with another sign-in.
    server.revokeSessions('teller');
    await page.route(`${address}/graphql`, expire);
    await follow('Cancel');
    await page.getByRole('alert').waitFor();
    assert.equal(await page.getByRole('alert').innerText(), 'Your session has ended. Sign in again.');
    await page.unroute(`${address}/graphql`);
    // The browser itself reports each answer 401.
    assert.deepEqual(complaints.splice(0).filter((line) => !line.includes('401')), []);

    // The server ran nothing but the documents of the build.
    assert.ok(documents.length > 10);
    assert.deepEqual(documents.filter((request) => request.query !== undefined), []);
    const headers = { authorization, 'content-type': 'application/json' };
    const body = JSON.stringify({ query: '{ viewer { name } }' });
    const answer = await fetch(`${address}/graphql`, { method: 'POST', headers, body });
    assert.match((await answer.json()).errors[0].message, /^This server runs only the documents it knows/);

    assert.deepEqual(elsewhere, [], 'the page asked somebody else');
    assert.deepEqual(complaints, [], 'the browser complained');
    console.log('web: signed in, searched, edited, resolved a conflict, with the documents of the build alone');
  } catch (error) {
    console.error(`The page showed:\n${await page.locator('body').innerText()}`);
    throw error;
  } finally {
    await browser.close();
  }
}
