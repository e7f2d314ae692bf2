<?php
// ringpost.inc.php - Roundcube 1.6 over ringpost's IMAP and submission (docs/webmail.md).
//
// Belongs at the end of /etc/roundcube/config.inc.php:
//     include '/etc/roundcube/ringpost.inc.php';
// Debian's own lines above it keep the database and the key of the sessions.

// The name in ringpost's certificate. It may lead to this machine (/etc/hosts).
$mail_host = 'mail.example.com';

// Who files sent mail: Roundcube, or ringpost where every account has `--sent yes`. Never both.
$ringpost_files_sent = false;

// As limits.message_size of ringpost. php-fpm.conf and nginx.conf have sizes that follow from it.
$config['max_message_size'] = '25M';

// --- connections ------------------------------------------------------------------------------
// TLS from the first byte: with tls:// Roundcube goes on in the clear where STARTTLS is not offered.
$config['imap_host'] = "ssl://$mail_host:993";
$config['smtp_host'] = "ssl://$mail_host:465";
$config['imap_conn_options'] = [
    'ssl' => [
        'verify_peer' => true,
        'verify_peer_name' => true,
        'peer_name' => $mail_host,
        // A certificate of your own, such as that of `ringpost init`; without it the system's.
        // 'cafile' => '/etc/roundcube/ringpost.crt',
    ],
];
$config['smtp_conn_options'] = $config['imap_conn_options'];
$config['imap_timeout'] = 30;
$config['smtp_timeout'] = 30; // smtp_conn_options count only where this is not 0

// --- logins -----------------------------------------------------------------------------------
// The address and a secret of scope mail,submit; the same for both.
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
$config['login_lc'] = 2;                // one user, however the address is typed
$config['log_logins'] = true;           // userlogins.log, with the client's address
$config['use_https'] = true;            // cookies for https only
$config['session_samesite'] = 'Lax';

// An identity has the address of the login. ringpost takes any of the tenant's domains.
$config['identities_level'] = 3;

// --- folders ----------------------------------------------------------------------------------
// Made at the first login, with the special uses of RFC 6154. An account that has folders with
// such a use keeps them, whatever their names.
$config['drafts_mbox'] = 'Drafts';
$config['sent_mbox'] = 'Sent';
$config['junk_mbox'] = 'Junk';
$config['trash_mbox'] = 'Trash';
$config['archive_mbox'] = 'Archive';
$config['create_default_folders'] = true;
$config['no_save_sent_messages'] = $ringpost_files_sent;

// Both of roundcube-plugins. managesieve is not among them: ringpost does not speak it.
$config['plugins'] = ['archive', 'markasjunk'];

// --- what is shown ----------------------------------------------------------------------------
$config['quota_zero_as_unlimited'] = true;
$config['product_name'] = 'Webmail';
$config['show_images'] = 0;             // of other hosts only when asked
$config['enable_spellcheck'] = false;
