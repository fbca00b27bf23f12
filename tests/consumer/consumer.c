/* A program of somebody else's: strict C99, declarations first, their own braces. */

#include <stdio.h>
#include <stdlib.h>
#include <mars/mars.h>

static void
complain (const char *what, const mars_error *error)
{
  fprintf (stderr, "%s: %s (%s)\n", what, error->message,
           mars_status_name (error->status));
  exit (EXIT_FAILURE);
}

int
main (void)
{
  mars_session_config config;
  mars_session *session = NULL;
  mars_tensor *values = NULL;
  mars_tensor *mean = NULL;
  mars_error error;
  double result = 0.0;

  mars_session_config_init (&config);
  config.host_budget_bytes = (size_t) 16 << 20;
  config.threads = 1;
  if (mars_session_create (&config, &session, &error) != MARS_OK)
    {
      complain ("session", &error);
    }

  mars_scope_open (session);
  values = mars_arange (session, MARS_F64, 1.0, 1001.0, 1.0);
  mean = mars_retain (mars_mean (values, MARS_ALL));
  mars_scope_close (session);

  if (mars_fetch (mean, &result, sizeof (result), &error) != MARS_OK)
    {
      complain ("fetch", &error);
    }
  mars_release (mean);
  mars_session_destroy (session);

  printf ("mean of 1000 values: %f\n", result);
  return EXIT_SUCCESS;
}
